using System.Collections.Concurrent;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Comanche.Network;

/// <summary>
/// Encryption for connections that ask for it: a <see cref="TlsTunnel"/> for each, whose clear side is an ordinary connection on the reactor. Who may connect is decided here.
/// </summary>
/// <remarks>Its own threads are those of the thread pool; the reactor only calls <see cref="Start"/>.</remarks>
internal sealed class TlsGateway : IDisposable
{
    private readonly IHost _host;
    private readonly SslServerAuthenticationOptions _options;
    private readonly X509Certificate2Collection? _clientAuthorities;
    private readonly X509Certificate2 _certificate;
    private readonly TimeSpan _handshakeTimeout;
    private readonly Action _ended;
    private readonly ConcurrentDictionary<TlsTunnel, Task> _running = new();

    /// <summary>Reads the certificates. <paramref name="ended"/> is called by a thread of the pool when a tunnel has ended.</summary>
    /// <exception cref="ComancheException">A file can't be read, or is not what it should be.</exception>
    public TlsGateway(IHost host, NbdTlsOptions tls, TimeSpan handshakeTimeout, Action ended)
    {
        _ended = ended;
        _host = host;
        _handshakeTimeout = handshakeTimeout;
        (_certificate, var chain) = ReadCertificate(tls);
        _clientAuthorities = tls.ClientCa.Length == 0 ? null : ReadAuthorities(tls.ClientCa);
        _options = new SslServerAuthenticationOptions
        {
            ServerCertificateContext = SslStreamCertificateContext.Create(_certificate, chain, offline: true),
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            ClientCertificateRequired = _clientAuthorities is not null,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            RemoteCertificateValidationCallback = (_, certificate, sent, _) => _clientAuthorities is null || IsTrusted(certificate, sent),
        };
    }

    /// <summary>Takes over two sockets, closes both in the end, and encrypts between them. Returns at once.</summary>
    public TlsTunnel Start(int client, int inner)
    {
        var tunnel = new TlsTunnel(_host, _options, _handshakeTimeout, _ended);
        var task = Task.Run(() => tunnel.Serve(client, inner));
        _running[tunnel] = task;
        task.ContinueWith(done => _running.TryRemove(tunnel, out _), TaskScheduler.Default);
        return tunnel;
    }

    /// <summary>Ends what is left; bounded. A server that has stopped has waited for all.</summary>
    public void Dispose()
    {
        foreach (var tunnel in _running.Keys) tunnel.Cancel();
        Task.WaitAll([.. _running.Values], TimeSpan.FromSeconds(5));
        _certificate.Dispose();
    }

    // Trusted is whose chain, made of what it sent and what client-ca holds, reaches a certificate of client-ca: a root or one in between.
    private bool IsTrusted(X509Certificate? certificate, X509Chain? sent)
    {
        if (certificate is not X509Certificate2 presented) return false;
        using var chain = new X509Chain();
        var policy = chain.ChainPolicy;
        policy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        policy.CustomTrustStore.AddRange(_clientAuthorities!);
        if (sent is not null) policy.ExtraStore.AddRange(sent.ChainPolicy.ExtraStore);
        policy.RevocationMode = X509RevocationMode.NoCheck;
        policy.DisableCertificateDownloads = true;
        policy.ApplicationPolicy.Add(new System.Security.Cryptography.Oid("1.3.6.1.5.5.7.3.2")); // Client authentication.

        // Where a chain ends is judged below; all else about it (signatures, times, what each may be used for) here.
        policy.VerificationFlags = X509VerificationFlags.AllowUnknownCertificateAuthority;
        if (chain.Build(presented) && chain.ChainElements.Any(element => _clientAuthorities!.Any(authority => authority.RawDataMemory.Span.SequenceEqual(element.Certificate.RawDataMemory.Span))))
            return true;
        var faults = string.Join("; ", chain.ChainStatus.Select(status => $"{status.Status} ({status.StatusInformation.Trim()})"));
        _host.Log(LogLevel.Warning, $"a client's certificate is not trusted: {(faults.Length == 0 ? "its chain reaches nothing of client-ca" : faults)}");
        return false;
    }

    private static (X509Certificate2 Certificate, X509Certificate2Collection Chain) ReadCertificate(NbdTlsOptions tls)
    {
        try
        {
            var chain = new X509Certificate2Collection();
            chain.ImportFromPemFile(tls.Certificate);
            return (X509Certificate2.CreateFromPemFile(tls.Certificate, tls.Key), chain);
        }
        catch (Exception error) when (error is IOException or System.Security.Cryptography.CryptographicException or UnauthorizedAccessException or ArgumentException)
        {
            throw new ComancheException($"tls: the certificate {tls.Certificate} with the key {tls.Key} can't be used: {error.Message}", error);
        }
    }

    private static X509Certificate2Collection ReadAuthorities(string path)
    {
        try
        {
            var authorities = new X509Certificate2Collection();
            authorities.ImportFromPemFile(path);
            if (authorities.Count == 0) throw new ComancheException($"tls: {path} holds no certificate");
            return authorities;
        }
        catch (Exception error) when (error is IOException or System.Security.Cryptography.CryptographicException or UnauthorizedAccessException)
        {
            throw new ComancheException($"tls: the client authorities in {path} can't be used: {error.Message}", error);
        }
    }
}
