using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace Comanche.Block;

/// <summary>How a rule fares.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct FaultRuleInfo
{
    /// <summary>1 where the rule is on.</summary>
    public int Enabled;

    /// <summary>Filler.</summary>
    public int Reserved;

    /// <summary>I/Os of its operations and range since it was switched on.</summary>
    public ulong Matches;

    /// <summary>I/Os that it hit since it was switched on.</summary>
    public ulong Hits;
}

/// <summary>
/// Switches the rules of a device that injects faults. Any thread, while I/O is in flight; what was submitted before a switch keeps its fate.
/// </summary>
/// <remarks>It derives from nothing, as every interface outside of the contracts' own assembly: query it on the component.</remarks>
[GeneratedComInterface(StringMarshalling = StringMarshalling.Utf8)]
[Guid("4f6f2a51-54c1-4b0a-8f4e-0d6c1f6b1b01")]
public unsafe partial interface IFaultInjection
{
    /// <summary>The number of rules.</summary>
    [PreserveSig]
    int GetRuleCount();

    /// <summary>The number of the rule with this name, or -1.</summary>
    [PreserveSig]
    int FindRule(string name);

    /// <summary>Says how a rule fares. Throws where there is no such rule.</summary>
    /// <param name="rule">0 up to, not including, <see cref="GetRuleCount"/>.</param>
    /// <param name="info">Where to store it.</param>
    void GetRule(int rule, FaultRuleInfo* info);

    /// <summary>Switches a rule on or off. Switching on starts its counts (<c>after</c>, <c>count</c>) anew. Throws where there is no such rule.</summary>
    /// <param name="rule">0 up to, not including, <see cref="GetRuleCount"/>.</param>
    /// <param name="enabled">1 for on, 0 for off.</param>
    void SetEnabled(int rule, int enabled);
}
