using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace Comanche.Runtime.Loading;

/// <summary>Reads from an assembly's metadata which components it holds, without loading it.</summary>
internal static class ComponentAssembly
{
    /// <summary>A class with <see cref="ComponentAttribute"/>.</summary>
    public readonly record struct Found(string Id, string Uuid, string Summary, string TypeName);

    /// <summary>Lists an assembly's components; none where the file is no managed assembly.</summary>
    public static List<Found> Scan(string path)
    {
        var found = new List<Found>();
        using var stream = File.OpenRead(path);
        try
        {
            using var file = new PEReader(stream);
            if (!file.HasMetadata) return found;
            var metadata = file.GetMetadataReader();
            if (!References(metadata, "Comanche")) return found;
            foreach (var handle in metadata.TypeDefinitions)
            {
                var type = metadata.GetTypeDefinition(handle);
                foreach (var attributeHandle in type.GetCustomAttributes())
                {
                    var attribute = metadata.GetCustomAttribute(attributeHandle);
                    if (!IsComponentAttribute(metadata, attribute)) continue;
                    var value = metadata.GetBlobReader(attribute.Value);
                    value.ReadUInt16(); // The prolog, always 1.
                    found.Add(new Found(
                        value.ReadSerializedString() ?? "", value.ReadSerializedString() ?? "", value.ReadSerializedString() ?? "",
                        FullName(metadata, type)));
                }
            }
        }
        catch (BadImageFormatException)
        {
            // Not ours to complain about: a folder may hold native libraries.
        }

        return found;
    }

    private static bool References(MetadataReader metadata, string assembly)
    {
        foreach (var handle in metadata.AssemblyReferences)
            if (metadata.StringComparer.Equals(metadata.GetAssemblyReference(handle).Name, assembly))
                return true;
        return false;
    }

    private static bool IsComponentAttribute(MetadataReader metadata, CustomAttribute attribute)
    {
        if (attribute.Constructor.Kind != HandleKind.MemberReference) return false;
        var parent = metadata.GetMemberReference((MemberReferenceHandle)attribute.Constructor).Parent;
        if (parent.Kind != HandleKind.TypeReference) return false;
        var type = metadata.GetTypeReference((TypeReferenceHandle)parent);
        return metadata.StringComparer.Equals(type.Name, nameof(ComponentAttribute)) && metadata.StringComparer.Equals(type.Namespace, "Comanche");
    }

    private static string FullName(MetadataReader metadata, TypeDefinition type)
    {
        var name = metadata.GetString(type.Name);
        if (!type.GetDeclaringType().IsNil) return $"{FullName(metadata, metadata.GetTypeDefinition(type.GetDeclaringType()))}+{name}";
        var space = metadata.GetString(type.Namespace);
        return space.Length == 0 ? name : $"{space}.{name}";
    }
}
