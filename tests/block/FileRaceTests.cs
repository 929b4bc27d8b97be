using Comanche.Testing;

namespace Comanche.Block.Tests;

public sealed unsafe class FileRaceTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("comanche-test-").FullName;
    private readonly List<Action> _undo = [];

    // Two starts race for an absent file: the one that made it loses the lock and deletes the file under the other.
    [Fact]
    public void A_start_that_loses_the_race_for_a_new_file_does_not_delete_it_under_the_winner()
    {
        for (var round = 0; round < 20; round++)
        {
            var path = Path.Combine(_folder, $"race{round}.img");
            var devices = new FileDevice[2];
            var failed = new bool[2];
            using var both = new Barrier(2);
            var threads = Enumerable.Range(0, 2).Select(i => new Thread(() =>
            {
                devices[i] = new FileDevice(new TestHost($"disk{i}"), new FileDeviceOptions { Path = path, Size = ByteSize.MiB(1) });
                both.SignalAndWait();
                try
                {
                    devices[i].Start();
                }
                catch (ComancheException)
                {
                    failed[i] = true;
                }
            })).ToArray();
            foreach (var thread in threads) thread.Start();
            foreach (var thread in threads) thread.Join();
            var exists = File.Exists(path);
            var started = failed.Count(f => !f);
            foreach (var device in devices) device.Release();
            Assert.True(started == 0 || exists, $"round {round}: {started} device runs on a file that is deleted");
        }
    }

    public void Dispose()
    {
        for (var i = _undo.Count - 1; i >= 0; i--) _undo[i]();
        Directory.Delete(_folder, recursive: true);
    }
}
