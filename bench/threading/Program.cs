using System.Diagnostics;
using System.Globalization;
using Comanche;
using Comanche.Runtime;
using Comanche.ThreadBench;
using Comanche.Threading;

// What the threading models cost: the server on core 1, all clients on core 0, and how far apart the two lie printed beside each row, since that decides most of it.
//   threading [models|delay|many|idle] [--alternations N] [--runtime-ms N] [--idle-s N]
//   threading stress [--operations N] [--kills N]       what killed clients and a changing stack do to those who go on
if (args is ["worker", var workerSocket, var workerDevice, var index, var units, var journal])
{
    using var worker = new StressWorker(workerSocket, workerDevice, int.Parse(index, CultureInfo.InvariantCulture), int.Parse(units, CultureInfo.InvariantCulture), journal);
    var problem = worker.Run();
    if (problem is not null) Console.Error.WriteLine(problem);
    return problem is null ? 0 : 1;
}

var options = args.Skip(1).Chunk(2).ToDictionary(p => p[0], p => p.Length == 2 ? int.Parse(p[1], CultureInfo.InvariantCulture) : 0);
var alternations = options.GetValueOrDefault("--alternations", 3);
var runtime = TimeSpan.FromMilliseconds(options.GetValueOrDefault("--runtime-ms", 500));
var which = args.Length == 0 ? "all" : args[0];
if (which == "stress") return new Stress(options.GetValueOrDefault("--operations", 10_000_000), options.GetValueOrDefault("--kills", 60)).Run() ? 0 : 1;
if (which is not ("all" or "models" or "delay" or "many" or "idle"))
{
    Console.Error.WriteLine("threading: models, delay, many, idle, stress or nothing was expected");
    return 2;
}

const string Socket = "data/share.sock";
Directory.SetCurrentDirectory(FindRoot());
if (which is "all" or "models") Models();
if (which is "all" or "delay") Delay();
if (which is "all" or "many") Many();
if (which is "all" or "idle") Idle();
return 0;

// Every model over a device that does nothing and one that copies, at three depths.
void Models()
{
    Console.WriteLine("device  depth  model           IOPS median (min–max)                     p50 ns   p99 ns  p99.9 ns  to direct  ping-pong ns");
    foreach (var device in new[] { "null", "memory" })
    {
        foreach (var depth in new[] { 1, 8, 32 })
        {
            var rows = new (string Name, string[] Words)[]
            {
                ("direct", [$"stacks/threads.yaml:{device}-direct"]),
                ("mutex, 1 thread", [$"stacks/threads.yaml:{device}-mutex"]),
                ("mutex, 2", [$"stacks/threads.yaml:{device}-mutex", "--numjobs", "2"]),
                ("mutex, 4", [$"stacks/threads.yaml:{device}-mutex", "--numjobs", "4"]),
                ("queue", [$"stacks/threads.yaml:{device}-queue"]),
                ("share", ["--attach", $"{Socket}:{device}0"]),
            };
            Compare(rows, depth, (name, samples, direct, pings) => Console.WriteLine(
                $"{device,-6}  {depth,5}  {name,-15} {Spread(samples.Select(s => s.Iops)),-38}  {Median(samples.Select(s => s.P50)),8:N0} {Median(samples.Select(s => s.P99)),8:N0} {Median(samples.Select(s => s.P999)),9:N0}  {Median(samples.Select(s => s.Iops)) / Median(direct.Select(s => s.Iops)),9:F2}  {Spread(pings)}"));
        }
    }
}

// A device of 10 us: what a hop adds where it matters.
void Delay()
{
    Console.WriteLine("10 us device, depth 1, one client: p50");
    var rows = new (string, string[])[]
    {
        ("direct", ["stacks/threads.yaml:delay-direct"]), ("mutex", ["stacks/threads.yaml:delay-mutex"]), ("queue", ["stacks/threads.yaml:delay-queue"]), ("share", ["--attach", $"{Socket}:delay0"]),
    };
    Compare(rows, 1, (name, samples, direct, pings) => Console.WriteLine(
        $"{name,-7} p50 {Spread(samples.Select(s => s.P50))} ns, p99 {Median(samples.Select(s => s.P99)):N0} ns, {Median(samples.Select(s => s.P50)) / Median(direct.Select(s => s.P50)):F2} of direct; ping-pong {Spread(pings)} ns"));
}

// One thread serves three devices to several threads or processes.
void Many()
{
    Console.WriteLine("one thread serves three devices; IOPS of all clients together, depth 32");
    using var server = new Served("stacks/share.yaml", Socket);
    var loads = new (string Name, string[] Words)[]
    {
        ("3 null, 3 threads", ["--attach", $"{Socket}:null0,null1,null2", "--numjobs", "3"]),
        ("2 null, 2 processes", ["--attach", $"{Socket}:null0,null1", "--numjobs", "2", "--processes"]),
        ("3 null, 3 processes", ["--attach", $"{Socket}:null0,null1,null2", "--numjobs", "3", "--processes"]),
        ("3 memory of 64 MiB, 3 threads", ["--attach", $"{Socket}:memory0,memory1,memory2", "--numjobs", "3"]),
        ("3 memory of 64 MiB, 3 processes", ["--attach", $"{Socket}:memory0,memory1,memory2", "--numjobs", "3", "--processes"]),
        ("3 memory, 256 KiB of each used, 3 threads", ["--attach", $"{Socket}:memory0,memory1,memory2", "--numjobs", "3", "--size", "256k"]),
        ("3 memory, 256 KiB of each used, 3 processes", ["--attach", $"{Socket}:memory0,memory1,memory2", "--numjobs", "3", "--processes", "--size", "256k"]),
        ("null, 1 process (one ring hop)", ["--attach", $"{Socket}:null0"]),
    };
    foreach (var (name, words) in loads)
    {
        var pings = new List<double>();
        var samples = Enumerable.Range(0, alternations).Select(_ =>
        {
            pings.Add(PingPong.Measure(0, 1));
            return Served.Load(runtime, [.. words, "--iodepth", "32"]).Iops;
        }).ToList();
        Console.WriteLine($"{name,-44} {Spread(samples)}; ping-pong {Spread(pings)} ns");
    }
}

// An idle server sleeps, and wakes about as fast as the machine can.
void Idle()
{
    using var server = new Served("stacks/share.yaml", Socket);
    var before = server.ProcessorTime;
    var idle = TimeSpan.FromSeconds(options.GetValueOrDefault("--idle-s", 30));
    Thread.Sleep(idle);
    Console.WriteLine($"idle for {idle.TotalSeconds} s: {(server.ProcessorTime - before) / idle * 100:F2} % of a core");

    // In turns, so that both have the same neighbours on the machine.
    const int Count = 200;
    var ratios = new List<double>();
    for (var round = 0; round < alternations; round++)
    {
        var (bare, first) = FirstAnswers(Count, TimeSpan.FromMilliseconds(100));
        ratios.Add(At(first, 99) / At(bare, 99));
        Console.WriteLine($"after 100 ms: bare futex wake p50 {At(bare, 50):N0} p99 {At(bare, 99):N0} ns; first request p50 {At(first, 50):N0} p99 {At(first, 99):N0} ns; "
            + $"{At(first, 50) / At(bare, 50):F2} at p50, {ratios[^1]:F2} at p99");
    }

    Console.WriteLine($"p99 to the bare wake's: {Median(ratios):F2} ({ratios.Min():F2}–{ratios.Max():F2})");
}

// After each pause, in which the client spins: how long a thread that sleeps on a futex takes to answer, and how long the shared stack's first request takes.
(double[] Bare, double[] First) FirstAnswers(int count, TimeSpan pause)
{
    var (bare, first) = (new double[count], new double[count]);
    var client = new Thread(() => Spin(bare, first, pause));
    client.Start();
    client.Join();
    return (bare, first);
}

unsafe void Spin(double[] bare, double[] first, TimeSpan pause)
{
    PingPong.Pin(0);
    using var sleeper = new FutexSleeper(1);
    using var process = new ComancheProcess();
    var device = ComancheClient.Connect(process.CreateHost("bench"), Socket, "null0");
    var queueOptions = new QueueOptions { Depth = 1 };
    var queue = device.OpenQueue(&queueOptions);
    using var slab = new DescriptorSlab(1);
    for (var i = 0; i < first.Length; i++)
    {
        Busy(pause);
        bare[i] = sleeper.Wake();
        Busy(pause);
        var descriptor = slab[0];
        *descriptor = new IoDescriptor { Operation = IoOperation.None };
        var start = Stopwatch.GetTimestamp();
        queue.Submit(&descriptor, 1);
        while (queue.Poll(&descriptor, 1) == 0) { }
        first[i] = Stopwatch.GetElapsedTime(start).TotalNanoseconds;
    }

    queue.Close();
    device.Release();
}

static void Busy(TimeSpan time)
{
    var start = Stopwatch.GetTimestamp();
    while (Stopwatch.GetElapsedTime(start) < time) { }
}

void Compare((string Name, string[] Words)[] rows, int depth, Action<string, List<Sample>, List<Sample>, List<double>> print)
{
    using var server = new Served("stacks/share.yaml", Socket);
    var samples = rows.Select(_ => new List<Sample>()).ToArray();
    var pings = rows.Select(_ => new List<double>()).ToArray();
    for (var i = 0; i < alternations; i++)
    {
        for (var row = 0; row < rows.Length; row++)
        {
            pings[row].Add(PingPong.Measure(0, 1));
            samples[row].Add(Served.Load(runtime, [.. rows[row].Words, "--iodepth", depth.ToString(CultureInfo.InvariantCulture)]));
        }
    }

    for (var row = 0; row < rows.Length; row++) print(rows[row].Name, samples[row], samples[0], pings[row]);
}

static double Median(IEnumerable<double> values)
{
    var sorted = values.Order().ToArray();
    return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
}

static double At(double[] values, double percent) => values.Order().ElementAt((int)Math.Min(values.Length - 1, Math.Ceiling(values.Length * percent / 100) - 1));

static string Spread(IEnumerable<double> values) => string.Create(CultureInfo.InvariantCulture, $"{Median(values):N0} ({values.Min():N0}–{values.Max():N0})");

static string FindRoot()
{
    var folder = AppContext.BaseDirectory;
    while (!File.Exists(Path.Combine(folder, "stacks", "share.yaml"))) folder = Path.GetDirectoryName(folder) ?? throw new ComancheException("run this from a clone");
    return folder;
}
