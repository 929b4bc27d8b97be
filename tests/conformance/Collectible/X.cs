namespace Comanche.Collectible;
/// <summary>x</summary>
public sealed class X;
