using System.Collections.Concurrent;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Comanche.Network;

/// <summary>
/// Encryption for connections that ask for it: tasks that carry bytes between a client's socket, encrypted, and one half of a pair of sockets, in the clear, whose other half is an
/// ordinary connection on the reactor. The memory of a connection is two buffers, and a side that does not read holds up the other.
/// </summary>
/// <remarks>Its own threads are those of the thread pool; the reactor only calls <see cref="Start"/>.</remarks>
internal sealed class TlsGateway : IDisposable
{
    private const int BufferBytes = 64 * 1024;

    private readonly IHost _host;
    private readonly SslServerAuthenticationOptions _options;
    private readonly X509Certificate2Collection? _clientAuthorities;
    private readonly X509Certificate2 _certificate;
    private readonly TimeSpan _handshakeTimeout;
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<Task, bool> _running = new();

    /// <summary>Reads the certificates.</summary>
    /// <exception cref="ComancheException">A file can't be read, or is not what it should be.</exception>
    public TlsGateway(IHost host, NbdTlsOptions tls, TimeSpan handshakeTimeout)
    {
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
            RemoteCertificateValidationCallback = (_, certificate, _, _) => _clientAuthorities is null || IsTrusted(certificate),
        };
    }

    /// <summary>Takes over two sockets, closes both in the end, and encrypts between them. Returns at once.</summary>
    public void Start(int client, int inner)
    {
        var task = Task.Run(() => Serve(client, inner));
        _running[task] = true;
        task.ContinueWith(ended => _running.TryRemove(ended, out _), TaskScheduler.Default);
    }

    /// <summary>Ends all connections; bounded.</summary>
    public void Dispose()
    {
        _stop.Cancel();
        Task.WaitAll([.. _running.Keys], TimeSpan.FromSeconds(5));
        _stop.Dispose();
        _certificate.Dispose();
    }

    private async Task Serve(int clientDescriptor, int innerDescriptor)
    {
        using var client = new Socket(new SafeSocketHandle(clientDescriptor, ownsHandle: true));
        using var inner = new Socket(new SafeSocketHandle(innerDescriptor, ownsHandle: true));
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        try
        {
            await using var plain = new NetworkStream(inner, ownsSocket: false);
            await using var encrypted = new SslStream(new NetworkStream(client, ownsSocket: false));
            using (var patience = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token))
            {
                patience.CancelAfter(_handshakeTimeout);
                await encrypted.AuthenticateAsServerAsync(_options, patience.Token);
            }

            // When the server closes, what it sent still goes out, and then the client is told. When the client ends, the server is, and may answer what is open.
            var up = Pump(encrypted, plain, ended.Token).ContinueWith(_ => inner.Shutdown(SocketShutdown.Send), TaskScheduler.Default);
            await Pump(plain, encrypted, ended.Token);
            await encrypted.ShutdownAsync();
            await ended.CancelAsync();
            await up;
        }
        catch (AuthenticationException error)
        {
            _host.Log(LogLevel.Warning, $"a client was refused: {error.Message}");
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The client is gone, or all end.
            _host.Log(LogLevel.Debug, $"an encrypted connection ended: {error.Message}");
        }
    }

    private static async Task Pump(Stream from, Stream to, CancellationToken ended)
    {
        var buffer = new byte[BufferBytes];
        while (true)
        {
            var count = await from.ReadAsync(buffer, ended);
            if (count == 0) return;
            await to.WriteAsync(buffer.AsMemory(0, count), ended);
        }
    }

    private bool IsTrusted(X509Certificate? certificate)
    {
        if (certificate is not X509Certificate2 presented) return false;
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(_clientAuthorities!);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.ApplicationPolicy.Add(new System.Security.Cryptography.Oid("1.3.6.1.5.5.7.3.2")); // Client authentication.
        return chain.Build(presented);
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
