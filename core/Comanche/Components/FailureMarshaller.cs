using System.Runtime.InteropServices.Marshalling;

namespace Comanche;

/// <summary>
/// Takes an exception of a managed component over a language border: as an HRESULT, with its words left behind for the thread (<see cref="Failure"/>). Every contract with
/// set-up methods names it as its <c>ExceptionToUnmanagedMarshaller</c>, and so should those of others; one with a method that keeps its signature and gives nothing can't
/// (the generator knows no value for that).
/// </summary>
[CustomMarshaller(typeof(Exception), MarshalMode.UnmanagedToManagedOut, typeof(FailureMarshaller))]
public static class FailureMarshaller
{
    /// <summary>What the caller in the other language gets instead of an exception.</summary>
    public static Crossed ConvertToUnmanaged(Exception exception) => new(Failure.Cross(exception));

    /// <summary>
    /// What stands for a failure, whatever a method gives: an HRESULT where there is room for one, else nothing. Generated code converts it.
    /// </summary>
    /// <param name="Result">The HRESULT.</param>
    public readonly record struct Crossed(int Result)
    {
        /// <summary>The HRESULT.</summary>
        public static implicit operator int(Crossed failure) => failure.Result;

        /// <summary>The HRESULT: as a count, none that is near an end.</summary>
        public static implicit operator uint(Crossed failure) => (uint)failure.Result;

        /// <summary>Nothing.</summary>
        public static implicit operator ulong(Crossed failure) => 0;

        /// <summary>Nothing.</summary>
        public static unsafe implicit operator ulong*(Crossed failure) => null;
    }
}
