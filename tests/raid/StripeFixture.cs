using Comanche.Block;
using Comanche.Testing;

namespace Comanche.Raid.Tests;

/// <summary>Members in memory that outlive the stripes that are opened on them: a restart is a new stripe.</summary>
internal sealed unsafe class StripeFixture : IDisposable
{
    private readonly TestMemory _memory = new();
    private readonly List<IBase> _open = [];
    private ulong _seed = 1;

    public StripeFixture(params ByteSize[] sizes) : this(512, null, sizes) { }

    public StripeFixture(uint blockSize, Random? random, params ByteSize[] sizes)
    {
        for (var i = 0; i < sizes.Length; i++) Add(sizes[i], blockSize, random);
    }

    public List<StrictDevice> Members { get; } = [];

    public TestHost Host { get; private set; } = new();

    public string Log => string.Join('\n', Host.Lines.Select(line => line.Message));

    public StrictDevice Add(ByteSize size, uint blockSize = 512, Random? random = null)
    {
        var name = $"disk{Members.Count}";
        var memory = new MemoryDevice(new TestHost(name) { Memory = _memory }, new MemoryOptions { Size = size, BlockSize = new(blockSize) });
        var strict = new StrictDevice(new TestHost(name) { Memory = _memory }, random);
        memory.Start();
        strict.Bind(memory, "");
        strict.Start();
        Members.Add(strict);
        _open.Add(memory);
        _open.Add(strict);
        return strict;
    }

    /// <summary>Makes a stripe on these members, by number; on all where none is given. It is not started.</summary>
    public StripeDevice Make(StripeOptions? options = null, HostFlags flags = HostFlags.None, params int[] members)
    {
        Host = new TestHost("stripe", _seed++) { Memory = _memory, Flags = flags };
        var stripe = new StripeDevice(Host, options ?? new());
        foreach (var member in members.Length == 0 ? Members : members.Select(i => Members[i])) stripe.Bind(member, "");
        return stripe;
    }

    public StripeDevice Open(StripeOptions? options = null, params int[] members)
    {
        var stripe = Make(options, HostFlags.None, members);
        stripe.Start();
        return stripe;
    }

    /// <summary>The message with which a start is refused.</summary>
    public string Refusal(StripeOptions? options = null, HostFlags flags = HostFlags.None, params int[] members)
    {
        var stripe = Make(options, flags, members);
        try
        {
            return Assert.Throws<ComancheException>(stripe.Start).Message;
        }
        finally
        {
            stripe.Release();
        }
    }

    /// <summary>Makes a set and closes it.</summary>
    public Guid Create(StripeOptions? options = null, params int[] members)
    {
        var stripe = Open(options, members);
        RaidInfo info;
        stripe.GetRaidInfo(&info);
        stripe.Stop();
        stripe.Release();
        return info.Set;
    }

    public byte[] Read(IBlockDevice device, ulong lba, int bytes)
    {
        using var io = new SyncIo(device, Host, "test");
        var data = new byte[bytes];
        io.Read(lba, data);
        return data;
    }

    public void Write(IBlockDevice device, ulong lba, ReadOnlySpan<byte> data)
    {
        using var io = new SyncIo(device, Host, "test");
        io.Write(lba, data);
    }

    public VolumeInfo Volume(IBlockDevice device)
    {
        VolumeInfo info;
        device.GetVolumeInfo(&info);
        return info;
    }

    public static byte[] Noise(int seed, int bytes)
    {
        var data = new byte[bytes];
        new Random(seed).NextBytes(data);
        return data;
    }

    public void Dispose()
    {
        for (var i = _open.Count - 1; i >= 0; i--)
        {
            _open[i].Stop();
            _open[i].Release();
        }

        foreach (var member in Members) Assert.Equal([], member.Violations);
        Assert.Equal(0, _memory.Live);
    }
}
