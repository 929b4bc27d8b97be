using Comanche.Testing;

namespace Comanche.Raid.Tests;

public sealed class StripeTwinTests
{
    private static readonly ByteSize Size = ByteSize.MiB(4);

    // One disk under two names (two filters, two paths) becomes two members of a new set; its data is written over itself, and the next start refuses the set.
    [Fact]
    public void A_set_is_not_made_of_one_disk_twice()
    {
        using var fixture = new StripeFixture(Size);
        var host = new TestHost("twin") { Memory = (TestMemory)fixture.Members[0].AllMemory() };
        var twin = new StrictDevice(host);
        twin.Bind(fixture.Members[0], "");
        twin.Start();
        var stripe = fixture.Make();
        stripe.Bind(twin, "");
        var refused = Record.Exception(stripe.Start);
        string found = "";
        if (refused is null)
        {
            fixture.Write(stripe, 0, Enumerable.Repeat((byte)1, 65536).ToArray());
            fixture.Write(stripe, 128, Enumerable.Repeat((byte)2, 65536).ToArray());
            found = $"made without a word; LBA 0 was written as 1 and reads as {fixture.Read(stripe, 0, 512)[0]}";
        }

        stripe.Release();
        if (refused is null)
        {
            var again = fixture.Make();
            again.Bind(twin, "");
            found += "; the next start: " + (Record.Exception(again.Start)?.Message ?? "starts");
            again.Release();
        }

        twin.Stop();
        twin.Release();
        Assert.True(refused is ComancheException, found);
    }
}

internal static class ProofExtensions
{
    // The memory of the fixture, which is private to it.
    public static object AllMemory(this StrictDevice device) =>
        typeof(BlockDevice).GetField("_memory", System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Instance)!.GetValue(device)!;
}
