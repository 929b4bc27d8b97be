using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;

namespace Comanche.Conformance.Tests.Native;

/// <summary>Code of a component in a collectible load context goes for real, also after native code held the component.</summary>
public sealed unsafe class UnloadTests
{
    [Fact]
    public void A_component_that_native_code_used_can_be_unloaded()
    {
        var context = Use(bind: true);
        Assert.True(IsGone(context), "the load context is still alive after the component was handed to native code");
    }

    [Fact]
    public void A_component_that_only_managed_code_used_can_be_unloaded() => Assert.True(IsGone(Use(bind: false)), "the load context is still alive");

    [Fact]
    public void A_component_that_native_code_still_holds_is_not_unloaded_under_it()
    {
        using var bench = new Workbench();
        var xor = XorRecipe.Make()(bench.Host("xor"));
        var context = BindAndForget(xor, bench);
        Assert.False(IsGone(context, tries: 3), "the code was unloaded while native code had a reference to the component");
        xor.Unbind();
        xor.Release();
        Assert.True(IsGone(context), "the load context is still alive after native code let go");
    }

    // What holds references stays in methods of their own, so that no local keeps them alive.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference Use(bool bind)
    {
        using var bench = new Workbench();
        var (context, tiny) = Load(bench);
        tiny.Start();
        IBase top = tiny;
        if (bind)
        {
            top = XorRecipe.Make()(bench.Host("xor"));
            Workbench.Start(top, [("", tiny)]);
        }

        using (var io = new TestIo(top.Query<IBlockDevice>()!))
        {
            io.WritePattern(5, 7, 80, io.Buffer(7));
            io.ExpectPattern(5, 7, 80, io.Buffer(7));
            io.Must(io.Make(IoOperation.Flush));
        }

        top.Stop();
        top.Release();
        if (bind)
        {
            tiny.Stop();
            Assert.Equal(0u, tiny.Release());
        }

        context.Unload();
        return new WeakReference(context, trackResurrection: true);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference BindAndForget(IBase xor, Workbench bench)
    {
        var (context, tiny) = Load(bench);
        xor.Bind(tiny, "");
        tiny.Release();
        context.Unload();
        return new WeakReference(context, trackResurrection: true);
    }

    private static (AssemblyLoadContext Context, IBase Component) Load(Workbench bench)
    {
        // The contracts come from the default context: a context that resolves nothing itself falls back to it.
        var context = new AssemblyLoadContext("tiny", isCollectible: true);
        var configuration = Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        var path = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "Comanche.Collectible", configuration, "Comanche.Collectible.dll"));
        var type = context.LoadFromAssemblyPath(path).GetType("Comanche.Collectible.TinyDevice", throwOnError: true)!;
        Assert.True(type.IsCollectible, "the component was loaded into an ordinary context");
        return (context, (IBase)Activator.CreateInstance(type, BindingFlags.Default, null, [bench.Host("tiny")], null)!);
    }

    private static bool IsGone(WeakReference context, int tries = 50)
    {
        for (var i = 0; i < tries && context.IsAlive; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        return !context.IsAlive;
    }
}
