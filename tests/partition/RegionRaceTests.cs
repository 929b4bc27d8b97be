using Comanche.Block;
using Comanche.Testing;

namespace Comanche.Partition.Tests;

public sealed class RegionRaceTests
{
    // The length comes from a first read, the bytes from a second: content that changes between them is an index out of range, not an error in words.
    [Fact]
    public void A_directory_that_changes_between_two_reads_is_an_error_in_words()
    {
        using var fixture = new RegionFixture(ByteSize.MiB(8));
        fixture.Open("a", 1024).Release();
        var copy = fixture.Read(fixture.Disk, 0, 8192);
        copy[44] = 200;
        var changed = false;
        fixture.Disk.Fault = (operation, lba, blocks) =>
        {
            if (changed || operation != IoOperation.Read || lba != 0 || blocks == 8) return IoStatus.Success;
            changed = true;
            fixture.Write(fixture.Disk, 0, copy);
            return IoStatus.Success;
        };
        var region = fixture.Make(new() { Region = "a" });
        var error = Record.Exception(region.Start);
        region.Release();
        Assert.True(error is null or ComancheException, error?.GetType().ToString());
    }

    // Two regions of one new device that start at once: the directory is looked for, and made, before the lock is taken.
    [Fact]
    public void Regions_that_start_at_once_on_a_blank_device_all_start()
    {
        var failures = new List<string>();
        for (var round = 0; round < 200; round++)
        {
            using var fixture = new RegionFixture(ByteSize.MiB(8));
            var regions = new[] { fixture.Make(new() { Region = "a", Size = ByteSize.KiB(64) }), fixture.Make(new() { Region = "b", Size = ByteSize.KiB(64) }) };
            var started = new bool[2];
            using var both = new Barrier(2);
            var threads = Enumerable.Range(0, 2).Select(i => new Thread(() =>
            {
                both.SignalAndWait();
                try
                {
                    regions[i].Start();
                    started[i] = true;
                }
                catch (Exception e)
                {
                    lock (failures) failures.Add(e is ComancheException ? e.Message : e.ToString());
                }
            })).ToArray();
            foreach (var thread in threads) thread.Start();
            foreach (var thread in threads) thread.Join();

            // What was reported as made is still there.
            for (var i = 0; i < 2; i++)
            {
                regions[i].Release();
                if (!started[i]) continue;
                var again = fixture.Make(new() { Region = i == 0 ? "a" : "b", Create = false });
                if (Record.Exception(again.Start) is { } lost) failures.Add($"round {round}: started, and is gone: {lost.Message}");
                again.Release();
            }
        }

        Assert.True(failures.Count == 0, $"{failures.Count}: {string.Join("\n", failures.Take(6))}");
    }
}
