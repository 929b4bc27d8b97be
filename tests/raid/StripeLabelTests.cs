using System.Buffers.Binary;
using Comanche.Testing;

namespace Comanche.Raid.Tests;

public sealed unsafe class StripeLabelTests
{
    private static readonly ByteSize Size = ByteSize.MiB(4);
    private static readonly ulong Last = Size.Bytes / 512 - 1;

    [Fact]
    public void The_label_lies_in_the_first_and_the_last_block_as_the_page_says()
    {
        using var fixture = new StripeFixture(Size, Size);
        var uuid = Guid.Parse("11223344-5566-4788-99aa-bbccddeeff00");
        fixture.Create(new() { Uuid = uuid.ToString(), Name = "pool", Chunk = ByteSize.KiB(8) });
        foreach (var (lba, copy) in ((ulong, uint)[])[(0, 0), (Last, 1)])
        {
            var label = fixture.Read(fixture.Members[1], lba, 512).AsSpan();
            Assert.Equal("CMNSTRIP"u8, label[..8]);
            Assert.Equal(1u, BinaryPrimitives.ReadUInt32LittleEndian(label[8..]));
            Assert.Equal(2ul, BinaryPrimitives.ReadUInt64LittleEndian(label[16..]));
            Assert.Equal(uuid, new Guid(label.Slice(24, 16)));
            Assert.NotEqual(Guid.Empty, new Guid(label.Slice(40, 16)));
            Assert.Equal(0x0002_0001u, BinaryPrimitives.ReadUInt32LittleEndian(label[60..]));
            Assert.Equal(512u, BinaryPrimitives.ReadUInt32LittleEndian(label[64..]));
            Assert.Equal(16u, BinaryPrimitives.ReadUInt32LittleEndian(label[68..]));
            Assert.Equal(2048ul, BinaryPrimitives.ReadUInt64LittleEndian(label[72..]));
            Assert.Equal(4096ul, BinaryPrimitives.ReadUInt64LittleEndian(label[80..]));
            Assert.Equal(8192ul, BinaryPrimitives.ReadUInt64LittleEndian(label[88..]));
            Assert.Equal(2u, BinaryPrimitives.ReadUInt32LittleEndian(label[96..]));
            Assert.Equal(copy, BinaryPrimitives.ReadUInt32LittleEndian(label[100..]));
            Assert.Equal("pool\0"u8, label.Slice(104, 5));
            var stored = BinaryPrimitives.ReadUInt32LittleEndian(label[12..]);
            label.Slice(12, 4).Clear();
            Assert.Equal(Crc32C.Compute(label), stored);
        }
    }

    [Fact]
    public void Swapped_members_are_refused_by_name()
    {
        using var fixture = new StripeFixture(Size, Size, Size);
        var set = fixture.Create();
        var message = fixture.Refusal(null, HostFlags.None, 0, 2, 1);
        Assert.Contains($"disk2 is swapped: it holds member 2 of set {set}; member 1 of set {set} was expected", message);
        Assert.Contains($"disk1 is swapped: it holds member 1 of set {set}; member 2 of set {set} was expected", message);
        Assert.DoesNotContain("disk0", message);
    }

    [Fact]
    public void A_blank_member_beside_labelled_ones_is_missing()
    {
        using var fixture = new StripeFixture(Size, Size, Size);
        var set = fixture.Create(null, 0, 1);
        var message = fixture.Refusal(null, HostFlags.None, 0, 2);
        Assert.Contains($"disk2 is blank; member 1 of set {set} was expected", message);
        Assert.Equal(-1, fixture.Read(fixture.Members[2], 0, 1 << 20).AsSpan().IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void A_foreign_member_is_refused_by_name()
    {
        using var fixture = new StripeFixture(Size, Size, Size, Size, Size);
        var first = fixture.Create(null, 0, 1, 2);
        var second = fixture.Create(null, 3, 4);
        var message = fixture.Refusal(null, HostFlags.None, 0, 4, 2);
        Assert.Contains($"disk4 is foreign: it holds member 1 of set {second}; member 1 of set {first} was expected", message);
        Assert.DoesNotContain("disk0", message);
        message = fixture.Refusal(new() { Uuid = second.ToString() }, HostFlags.None, 0, 4, 2);
        Assert.Contains($"disk0 is foreign: it holds member 0 of set {first}; member 0 of set {second} was expected", message);
    }

    [Fact]
    public void A_duplicate_member_is_refused_by_name()
    {
        using var fixture = new StripeFixture(Size, Size, Size);
        fixture.Create(null, 0, 1);
        fixture.Write(fixture.Members[2], 0, fixture.Read(fixture.Members[0], 0, (int)Size.Bytes));
        Assert.Contains("disk2 is a duplicate: it holds member 0", fixture.Refusal(null, HostFlags.None, 0, 2));
    }

    [Fact]
    public void A_set_with_another_number_of_members_is_refused()
    {
        using var fixture = new StripeFixture(Size, Size, Size);
        fixture.Create();
        Assert.Contains("has 3 members, 2 are bound", fixture.Refusal(null, HostFlags.None, 0, 1));
    }

    [Fact]
    public void A_member_that_shrank_is_refused_by_name()
    {
        using var fixture = new StripeFixture(Size, Size);
        fixture.Create();
        fixture.Members[1].Limits = info => info with { BlockCount = info.BlockCount - 1 };
        Assert.Contains("disk1 is refused as member 1: it is too small: it had 8192 blocks", fixture.Refusal());
    }

    [Fact]
    public void A_member_that_grew_is_taken_as_it_was()
    {
        using var fixture = new StripeFixture(Size, Size);
        fixture.Members[1].Limits = info => info with { BlockCount = 7000 };
        fixture.Create();
        fixture.Members[1].Limits = null;
        var stripe = fixture.Open();
        Assert.Equal((7000ul - 4096) / 128 * 128 * 2, fixture.Volume(stripe).BlockCount);
        Assert.Empty(fixture.Host.Lines);
        stripe.Release();
    }

    [Fact]
    public void A_member_that_is_too_small_for_a_new_set_is_refused_by_name()
    {
        using var fixture = new StripeFixture(Size, ByteSize.KiB(2048 + 63));
        var message = fixture.Refusal();
        Assert.Contains("disk1 is refused as member 1", message);
        Assert.Contains("2112KiB", message);
    }

    [Fact]
    public void Members_with_different_block_sizes_are_refused()
    {
        using var fixture = new StripeFixture(Size);
        fixture.Add(Size, 4096);
        Assert.Contains("disk1 is refused as member 1: it has blocks of 4096 bytes, disk0 has blocks of 512", fixture.Refusal());
    }

    [Theory]
    [InlineData(1u)]    // Boot code, LVM
    [InlineData(2u)]    // ext4's superblock
    [InlineData(128u)]  // btrfs
    [InlineData(2047u)]
    [InlineData(8191u)] // A backup GPT
    [InlineData(8064u)] // md 0.90
    public void A_member_that_holds_anything_else_is_never_overwritten(uint lba)
    {
        using var fixture = new StripeFixture(Size, Size);
        var block = new byte[512];
        "EFI PART"u8.CopyTo(block.AsSpan(100));
        fixture.Write(fixture.Members[1], lba, block);
        var message = fixture.Refusal();
        Assert.Contains($"disk1 is refused as member 1: it holds something else, which is never overwritten: byte {lba * 512 + 100} holds {Convert.ToHexString("EFI PART"u8)}", message);
        Assert.All(fixture.Members, member => Assert.Equal(member == fixture.Members[1] ? 1 : 0, member.Counts[(int)IoOperation.Write]));
    }

    [Fact]
    public void A_newer_version_is_refused_though_the_other_copy_is_known()
    {
        using var fixture = new StripeFixture(Size, Size);
        fixture.Create();
        Change(fixture, 0, Last, label => label[8] = 2);
        Assert.Contains($"disk0 is refused as member 0: the label at byte {Last * 512}: it has version 2, 1 was expected", fixture.Refusal());
    }

    [Theory]
    [InlineData(0ul)]
    [InlineData(8191ul)]
    public void A_torn_label_is_recognised_and_the_other_used_and_the_torn_one_repaired(ulong lba)
    {
        using var fixture = new StripeFixture(Size, Size);
        var set = fixture.Create();
        var before = fixture.Read(fixture.Members[1], lba, 512);
        var torn = before.ToArray();
        torn.AsSpan(40).Clear();
        fixture.Write(fixture.Members[1], lba, torn);
        Assert.Equal(set, fixture.Create(new() { Create = false }));
        Assert.Contains($"disk1: the label at byte {lba * 512} can't be used (its CRC32C is", fixture.Log);
        Assert.Equal(before, fixture.Read(fixture.Members[1], lba, 512));
        fixture.Create();
        Assert.Empty(fixture.Host.Lines);
    }

    [Fact]
    public void A_label_that_was_zeroed_or_can_not_be_read_is_repaired_too()
    {
        using var fixture = new StripeFixture(Size, Size);
        var set = fixture.Create();
        var before = fixture.Read(fixture.Members[0], 0, 512);
        fixture.Write(fixture.Members[0], 0, new byte[512]);
        fixture.Members[1].Fault = (operation, lba, _) => operation == IoOperation.Read && lba == 0 ? IoStatus.MediaError : IoStatus.Success;
        Assert.Equal(set, fixture.Create());
        Assert.Contains("disk1: the label at byte 0 can't be used", fixture.Log);
        Assert.Equal(before, fixture.Read(fixture.Members[0], 0, 512));
    }

    [Fact]
    public void A_member_that_was_cut_short_and_extended_again_is_refused()
    {
        using var fixture = new StripeFixture(Size, Size);
        var set = fixture.Create();
        var label = fixture.Read(fixture.Members[1], Last, 512);
        fixture.Write(fixture.Members[1], 4096, new byte[2 << 20]); // As block/file does: what was behind the cut reads as zeroes.
        Assert.Contains($"disk1 is refused as member 1: byte {Last * 512} is blank, where its second label was", fixture.Refusal());
        Assert.Equal(new byte[512], fixture.Read(fixture.Members[1], Last, 512));
        Assert.Equal(set, fixture.Create(new() { Repair = true }));
        Assert.Contains("written anew", fixture.Log);
        Assert.Equal(label, fixture.Read(fixture.Members[1], Last, 512));
        Assert.Equal(set, fixture.Create());
    }

    [Fact]
    public void A_boot_sector_that_lies_over_a_label_is_left_alone()
    {
        using var fixture = new StripeFixture(Size, Size);
        var set = fixture.Create();
        var sector = StripeFixture.Noise(3, 512);
        (sector[510], sector[511]) = (0x55, 0xAA);
        fixture.Write(fixture.Members[0], 0, sector);
        Assert.Contains("disk0 is refused as member 0: something else lies at byte 0", fixture.Refusal());
        Assert.Equal(set, fixture.Create(new() { Repair = true }));
        Assert.Contains("something else lies there", fixture.Log);
        Assert.Equal(sector, fixture.Read(fixture.Members[0], 0, 512));
    }

    [Fact]
    public void Of_two_labels_the_newer_is_used_and_the_stale_one_repaired()
    {
        using var fixture = new StripeFixture(Size, Size);
        fixture.Create();
        Change(fixture, 0, Last, label =>
        {
            label[16] = 1;
            label[96] = (byte)StripeState.Creating;
        });
        fixture.Create(new() { Create = false });
        Assert.Contains($"disk0: the label at byte {Last * 512} is older than the other one: written anew", fixture.Log);
        Assert.Equal(2, fixture.Read(fixture.Members[0], Last, 512)[16]);
    }

    [Fact]
    public void Labels_that_contradict_each_other_are_refused()
    {
        using var fixture = new StripeFixture(Size, Size);
        fixture.Create();
        Change(fixture, 0, Last, label => label[24] ^= 1);
        Assert.Contains("its two labels contradict each other", fixture.Refusal());
        Change(fixture, 0, Last, label => label[24] ^= 1);
        Change(fixture, 0, Last, label => label[104] = (byte)'x');
        Assert.Contains("its two labels have generation 2 but not the same content", fixture.Refusal());
    }

    [Fact]
    public void With_both_labels_damaged_the_member_is_refused_with_both_places()
    {
        using var fixture = new StripeFixture(Size, Size);
        fixture.Create();
        foreach (var lba in (ulong[])[0, Last])
        {
            var label = fixture.Read(fixture.Members[1], lba, 512);
            label[200] ^= 1;
            fixture.Write(fixture.Members[1], lba, label);
        }

        var message = fixture.Refusal();
        Assert.Contains("disk1 is refused as member 1: no label of it can be used: at byte 0 its CRC32C is", message);
        Assert.Contains($"at byte {Last * 512} its CRC32C is", message);
    }

    [Fact]
    public void Read_only_nothing_is_created_and_nothing_repaired()
    {
        using var fixture = new StripeFixture(Size, Size);
        Assert.Contains("read-only nothing is created", fixture.Refusal(null, HostFlags.ReadOnly));
        fixture.Create();
        fixture.Write(fixture.Members[1], 0, new byte[512]);
        foreach (var member in fixture.Members) Array.Clear(member.Counts);
        var stripe = fixture.Make(null, HostFlags.ReadOnly);
        stripe.Start();
        Assert.True(fixture.Volume(stripe).Has(VolumeCapabilities.ReadOnly));
        Assert.Contains("it is not repaired", fixture.Log);
        stripe.Release();
        Assert.All(fixture.Members, member => Assert.Equal(0, member.Counts[(int)IoOperation.Write]));
    }

    [Fact]
    public void Without_create_blank_members_are_refused()
    {
        using var fixture = new StripeFixture(Size, Size);
        Assert.Contains("disk0, disk1 carry no label, and create is false", fixture.Refusal(new() { Create = false }));
    }

    [Fact]
    public void Chunk_name_and_uuid_that_differ_from_the_set_are_refused()
    {
        using var fixture = new StripeFixture(Size, Size);
        fixture.Create(new() { Name = "pool" });
        Assert.Contains("chunk: set", fixture.Refusal(new() { Chunk = ByteSize.KiB(32) }));
        Assert.Contains("was made with 64KiB; 32KiB is asked for", fixture.Refusal(new() { Chunk = ByteSize.KiB(32) }));
        Assert.Contains("is called 'pool', 'tank' was expected", fixture.Refusal(new() { Name = "tank" }));
        var other = Guid.NewGuid();
        Assert.Contains($"{other} was expected", fixture.Refusal(new() { Uuid = other.ToString() }));
        fixture.Create(new() { Name = "pool" });
    }

    [Fact]
    public void A_creation_that_is_cut_short_at_any_write_is_finished_by_the_next_start()
    {
        for (var cut = 0; ; cut++)
        {
            using var fixture = new StripeFixture(Size, Size, Size);
            var left = cut;
            foreach (var member in fixture.Members)
                member.Fault = (operation, _, _) => operation == IoOperation.Write && left-- <= 0 ? IoStatus.DeviceRemoved : IoStatus.Success;
            var stripe = fixture.Make();
            var failed = false;
            try
            {
                stripe.Start();
            }
            catch (ComancheException)
            {
                failed = true;
            }

            stripe.Release();
            foreach (var member in fixture.Members) member.Fault = null;
            var set = fixture.Create();
            Assert.Equal(set, fixture.Create(new() { Create = false }));
            Assert.Empty(fixture.Host.Lines);
            if (failed) continue;
            Assert.Equal(12, cut);
            return;
        }
    }

    [Fact]
    public void Ten_thousand_mutated_labels_give_the_right_set_or_an_error()
    {
        const int Seed = 20240607;
        var random = new Random(Seed);
        using var fixture = new StripeFixture(Size, Size);
        var set = fixture.Create();
        var copies = fixture.Members.SelectMany(m => new[] { (Member: m, Lba: 0ul), (Member: m, Lba: Last) })
            .Select(c => (c.Member, c.Lba, Label: fixture.Read(c.Member, c.Lba, 512))).ToArray();
        var (opened, refused) = (0, 0);
        for (var i = 0; i < 10_000; i++)
        {
            var touched = random.Next(3) == 0 ? copies : [copies[random.Next(copies.Length)]];
            foreach (var copy in touched) fixture.Write(copy.Member, copy.Lba, Mutated(random, copy.Label));
            var stripe = fixture.Make(null, HostFlags.ReadOnly);
            try
            {
                stripe.Start();
                RaidInfo info;
                stripe.GetRaidInfo(&info);
                var right = info is { MemberCount: 2, ChunkBlocks: 128 } && info.Set == set && fixture.Volume(stripe).BlockCount == 8192;
                Assert.True(right, $"seed {Seed}, mutation {i}: set {info.Set} of {info.MemberCount} members opened");
                opened++;
            }
            catch (ComancheException)
            {
                refused++;
            }

            stripe.Release();
            foreach (var copy in touched) fixture.Write(copy.Member, copy.Lba, copy.Label);
        }

        Assert.True(opened > 1000 && refused > 1000, $"seed {Seed}: {opened} opened, {refused} refused");
    }

    // Flipped bits, zeroed tails, extreme numbers; half of the time with a checksum that fits again. What identifies the set is left alone then, since
    // such a label is no accident but another set.
    private static byte[] Mutated(Random random, byte[] label)
    {
        var mutated = label.ToArray();
        var fix = random.Next(2) == 0;
        for (var changes = random.Next(1, 4); changes > 0; changes--)
        {
            var at = random.Next(fix ? 56 : 0, random.Next(2) == 0 ? 104 : 512);
            switch (random.Next(4))
            {
                case 0:
                    mutated[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    mutated.AsSpan(at).Clear();
                    break;
                case 2:
                    mutated.AsSpan(at, Math.Min(8, 512 - at)).Fill(0xFF);
                    break;
                default:
                    random.NextBytes(mutated.AsSpan(at, Math.Min(4, 512 - at)));
                    break;
            }
        }

        if (fix) BinaryPrimitives.WriteUInt32LittleEndian(mutated.AsSpan(12), Crc32C.ComputeWithout(mutated, 12));
        return mutated;
    }

    private static void Change(StripeFixture fixture, int member, ulong lba, Action<byte[]> change)
    {
        var label = fixture.Read(fixture.Members[member], lba, 512);
        change(label);
        BinaryPrimitives.WriteUInt32LittleEndian(label.AsSpan(12), Crc32C.ComputeWithout(label, 12));
        fixture.Write(fixture.Members[member], lba, label);
    }
}
