using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Comanche.Testing;

namespace Comanche.Network.Tests;

/// <summary>An authority, a server and a client that it signed, and a client that it did not, as PEM files.</summary>
internal sealed class Certificates : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("comanche-tls-").FullName;

    public Certificates()
    {
        using var authority = MakeAuthority("CN=authority");
        using var stranger = MakeAuthority("CN=stranger");
        File.WriteAllText(At("ca-cert.pem"), authority.ExportCertificatePem());
        Make(authority, "CN=localhost", "server", "1.3.6.1.5.5.7.3.1").Dispose();
        Client = Make(authority, "CN=client", "client", "1.3.6.1.5.5.7.3.2");
        Stranger = Make(stranger, "CN=client", "stranger", "1.3.6.1.5.5.7.3.2");

        // Two that call themselves the same: only one is signed by the authority.
        using var department = MakeAuthority("CN=department", authority);
        using var impostor = MakeAuthority("CN=department", stranger);
        File.WriteAllText(At("department-cert.pem"), department.ExportCertificatePem());
        Department = X509CertificateLoader.LoadCertificate(department.RawData);
        Impostor = X509CertificateLoader.LoadCertificate(impostor.RawData);
        Employee = Make(department, "CN=employee", "employee", "1.3.6.1.5.5.7.3.2");
        Pretender = Make(impostor, "CN=employee", "pretender", "1.3.6.1.5.5.7.3.2");
    }

    public X509Certificate2 Client { get; }

    public X509Certificate2 Stranger { get; }

    /// <summary>Signed by the authority, and itself an authority.</summary>
    public X509Certificate2 Department { get; }

    /// <summary>Signed by a stranger, with the name of the department.</summary>
    public X509Certificate2 Impostor { get; }

    /// <summary>Signed by the department.</summary>
    public X509Certificate2 Employee { get; }

    /// <summary>Signed by the impostor.</summary>
    public X509Certificate2 Pretender { get; }

    public string Folder => _folder;

    public NbdTlsOptions Options => new() { Certificate = At("server-cert.pem"), Key = At("server-key.pem"), ClientCa = At("ca-cert.pem") };

    public string At(string file) => Path.Combine(_folder, file);

    public void Dispose()
    {
        Client.Dispose();
        Stranger.Dispose();
        Department.Dispose();
        Impostor.Dispose();
        Employee.Dispose();
        Pretender.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static X509Certificate2 MakeAuthority(string name, X509Certificate2? above = null)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(name, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        if (above is null) return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(3));
        using var signed = request.Create(above, DateTimeOffset.UtcNow.AddHours(-18), DateTimeOffset.UtcNow.AddDays(2), RandomNumberGenerator.GetBytes(8));
        return signed.CopyWithPrivateKey(key);
    }

    private X509Certificate2 Make(X509Certificate2 authority, string name, string file, string use)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest(name, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(use)], false));
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        using var signed = request.Create(authority, DateTimeOffset.UtcNow.AddHours(-12), DateTimeOffset.UtcNow.AddDays(1), RandomNumberGenerator.GetBytes(8));
        File.WriteAllText(At($"{file}-cert.pem"), signed.ExportCertificatePem());
        File.WriteAllText(At($"{file}-key.pem"), key.ExportPkcs8PrivateKeyPem());
        using var whole = signed.CopyWithPrivateKey(key);
        return X509CertificateLoader.LoadPkcs12(whole.Export(X509ContentType.Pkcs12), null);
    }
}

[Collection("alone")]
public sealed class TlsTests
{
    private static void Encrypt(NbdClient client, X509Certificate2? certificate, X509Certificate2? sentWithIt = null)
    {
        Assert.Equal(NbdClient.Ack, Assert.Single(client.Option(NbdClient.OptStartTls, [])).Type);
        var encrypted = new SslStream(client.Stream, false, (_, _, _, _) => true);
        var options = new SslClientAuthenticationOptions { TargetHost = "localhost" };
        if (sentWithIt is null)
        {
            options.ClientCertificates = certificate is null ? [] : [certificate];
            options.LocalCertificateSelectionCallback = (_, _, _, _, _) => certificate!;
        }
        else
        {
            options.ClientCertificateContext = SslStreamCertificateContext.Create(certificate!, [sentWithIt], offline: true);
        }

        encrypted.AuthenticateAsClient(options);
        client.Encrypt(encrypted);
    }

    private static NbdClient Enter(Served served, X509Certificate2 certificate, X509Certificate2? sentWithIt = null)
    {
        var client = served.Connect();
        client.Greet();
        Encrypt(client, certificate, sentWithIt);
        client.Go("");
        return client;
    }

    [Theory]
    [InlineData("ca", "employee", true, true)]
    [InlineData("ca", "employee", false, false)] // Nobody can know who signed the department.
    [InlineData("ca", "pretender", true, false)]
    [InlineData("department", "employee", true, true)]
    [InlineData("department", "employee", false, true)]
    [InlineData("department", "pretender", true, false)]
    [InlineData("department", "pretender", false, false)]
    [InlineData("department", "client", false, false)] // The authority above it is not trusted.
    public void Who_may_connect_is_decided_by_the_chain_that_the_client_sent(string authority, string who, bool whole, bool enters)
    {
        using var certificates = new Certificates();
        using var served = new Served(new NbdOptions { Tls = certificates.Options with { ClientCa = certificates.At($"{authority}-cert.pem") } });
        var certificate = who switch { "employee" => certificates.Employee, "pretender" => certificates.Pretender, _ => certificates.Client };
        var above = !whole ? null : who == "employee" ? certificates.Department : certificates.Impostor;
        var refused = Record.Exception(() => Enter(served, certificate, above).Dispose());
        if (enters)
        {
            Assert.Null(refused);
            return;
        }

        Assert.True(refused is AuthenticationException or IOException, refused?.ToString());
        lock (served.Host.Lines) Assert.Contains(served.Host.Lines, line => line.Message.StartsWith("a client's certificate is not trusted: ", StringComparison.Ordinal));
    }

    [Fact]
    public void A_client_that_takes_nothing_keeps_its_place_until_its_time_is_up()
    {
        using var certificates = new Certificates();
        using var served = new Served(new NbdOptions { Tls = certificates.Options, MaxConnections = 2 });
        using (Enter(served, certificates.Client)) { } // The framework opens something for itself, once.
        Served.Eventually(() => served.Memory.Live == 1, "the first client is gone");
        var descriptors = Directory.GetFileSystemEntries("/proc/self/fd").Length;
        var held = new List<NbdClient>();
        for (var i = 0; i < 2; i++)
        {
            var client = Enter(served, certificates.Client);
            held.Add(client);
            for (var n = 0; n < 6; n++) client.Request(NbdClient.Read, 0, 512 << 10);
            Thread.Sleep(100);
            client.Send(new byte[28]); // No request: the server closes its side at once.
        }

        var next = served.Connect();
        Thread.Sleep(200);
        Assert.Equal(0, next.Socket.Available);
        FailureTests.Pass(served, TimeSpan.FromSeconds(31));
        next.Greet();
        next.Dispose();
        foreach (var client in held) client.Dispose();
        Served.Eventually(() => served.Memory.Live == 1 && Directory.GetFileSystemEntries("/proc/self/fd").Length == descriptors, "all is given back");
    }

    [Fact]
    public void A_stop_delivers_what_lies_in_the_encryption()
    {
        // How much the sockets between here and there hold is the kernel's affair: some of these end in the encryption when the server has sent all.
        using var certificates = new Certificates();
        for (var replies = 16; replies <= 40; replies += 4)
        {
            using var served = new Served(new NbdOptions { Tls = certificates.Options });
            using var client = Enter(served, certificates.Client);
            for (var i = 0; i < replies; i++) client.Request(NbdClient.Read, 0, 64 << 10);
            Served.Eventually(() => served.Device.Counts[(int)IoOperation.Read] == replies, "all is read");
            var stop = new Thread(served.Stop);
            stop.Start();
            Thread.Sleep(100);
            for (var i = 0; i < replies; i++) Assert.Equal(0u, client.Reply(64 << 10).Error);
            Assert.True(client.IsClosed());
            Assert.True(stop.Join(5000));
        }
    }

    [Fact]
    public void A_client_with_a_certificate_reads_and_writes_encrypted()
    {
        using var certificates = new Certificates();
        using var served = new Served(new NbdOptions { Tls = certificates.Options });
        using var client = served.Connect();
        client.Greet();
        Encrypt(client, certificates.Client);
        Assert.Equal(NbdClient.Invalid, Assert.Single(client.Option(NbdClient.OptStartTls, [])).Type);
        client.Negotiate();
        client.Go("");
        var data = new byte[5 << 20];
        new Random(1).NextBytes(data);
        Assert.Equal(0u, client.Do(NbdClient.Write, 0, 5 << 20, payload: data).Error);
        Assert.True(data.AsSpan().SequenceEqual(client.Do(NbdClient.Read, 0, 5 << 20).Data));
        client.Request(NbdClient.Disconnect, 0, 0);
        Assert.True(client.IsClosed());
        Served.Eventually(() => served.Memory.Live == 1, "the connection is gone");
    }

    [Fact]
    public void Without_encryption_nothing_is_told()
    {
        using var certificates = new Certificates();
        using var served = new Served(new NbdOptions { Tls = certificates.Options });
        using var client = served.Connect();
        client.Greet();
        Assert.Equal(NbdClient.TlsRequired, Assert.Single(client.Option(NbdClient.OptList, [])).Type);
        Assert.Equal(NbdClient.TlsRequired, Assert.Single(client.Option(NbdClient.OptGo, NbdClient.InfoQuery(""))).Type);
        Assert.Equal(NbdClient.TlsRequired, Assert.Single(client.Option(NbdClient.OptStructured, [])).Type);
        client.SendOption(NbdClient.OptExportName, []);
        Assert.True(client.IsClosed());
    }

    [Fact]
    public void Where_encryption_is_not_required_a_plain_client_is_served()
    {
        using var certificates = new Certificates();
        using var served = new Served(new NbdOptions { Tls = certificates.Options with { Required = false } });
        using var plain = served.Connect().Enter();
        Assert.Equal(0u, plain.Do(NbdClient.Read, 0, 512).Error);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_client_without_a_certificate_of_the_authority_is_refused(bool stranger)
    {
        using var certificates = new Certificates();
        using var served = new Served(new NbdOptions { Tls = certificates.Options });
        using var client = served.Connect();
        client.Greet();
        var refused = Record.Exception(() =>
        {
            // With TLS 1.3 the client learns it at its first read.
            Encrypt(client, stranger ? certificates.Stranger : null);
            client.Negotiate();
        });
        Assert.True(refused is AuthenticationException or IOException, refused?.ToString());
        Served.Eventually(() => { lock (served.Host.Lines) return served.Host.Lines.Any(l => l.Message.StartsWith("a client was refused")); }, "the refusal is logged");
        using var good = served.Connect();
        good.Greet();
        Encrypt(good, certificates.Client);
    }

    [Fact]
    public void A_stop_ends_encrypted_connections()
    {
        using var certificates = new Certificates();
        using var served = new Served(new NbdOptions { Tls = certificates.Options });
        using var client = served.Connect();
        client.Greet();
        Encrypt(client, certificates.Client);
        client.Go("");
        using var idle = served.Connect();
        idle.Greet();
        Assert.Equal(NbdClient.Ack, Assert.Single(idle.Option(NbdClient.OptStartTls, [])).Type);
        served.Stop();
        Assert.True(client.IsClosed());
    }

    [Fact]
    public void Certificates_that_are_missing_or_no_pair_are_refused_by_name()
    {
        using var certificates = new Certificates();
        foreach (var bad in new[]
        {
            certificates.Options with { Certificate = certificates.At("nothing.pem") },
            certificates.Options with { Key = certificates.At("client-key.pem") },
            certificates.Options with { ClientCa = certificates.At("server-key.pem") },
        })
            Assert.Contains("tls:", Assert.Throws<ComancheException>(() => new Served(new NbdOptions { Tls = bad })).Message);
    }

    [Fact]
    public void Libnbd_connects_with_certificates()
    {
        Tools.Need("nbdinfo", "libnbd-bin");
        using var certificates = new Certificates();
        using var served = new Served(new NbdOptions { Tls = certificates.Options, Listen = ["tcp:127.0.0.1:0"] });
        var port = served.Export.Addresses[0].Split(':')[^1];
        var (code, output) = Tools.Run("nbdinfo", $"nbds://localhost:{port}/?tls-certificates={certificates.Folder}");
        Assert.True(code == 0, output);
        Assert.Contains("protocol: newstyle-fixed with TLS", output);
    }
}
