using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Comanche.App.Control;

/// <summary>The form of JSON-RPC 2.0: what is a request, and what an answer looks like (https://www.jsonrpc.org/specification).</summary>
internal static class JsonRpc
{
    private const int ParseError = -32700, InvalidRequest = -32600, UnknownMethod = -32601, InternalError = -32603, Failed = -32000;
    private const int MaxBatch = 100;

    // It goes to programs and terminals, never into a page of HTML.
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Answers the text of a request, or a batch of them; null where none is expected.</summary>
    public static string? Answer(string text, Func<string, JsonObject, JsonNode?> method)
    {
        JsonNode? message;
        try
        {
            message = JsonNode.Parse(text);
        }
        catch (JsonException e)
        {
            return Error(null, ParseError, $"not JSON: {e.Message}").ToJsonString(Plain);
        }

        if (message is not JsonArray batch) return One(message, method)?.ToJsonString(Plain);
        if (batch.Count is 0 or > MaxBatch) return Error(null, InvalidRequest, $"a batch has 1 to {MaxBatch} requests").ToJsonString(Plain);
        var answers = batch.Select(m => One(m, method)).OfType<JsonObject>().ToArray<JsonNode>();
        return answers.Length == 0 ? null : new JsonArray(answers).ToJsonString(Plain);
    }

    /// <summary>The text of a request.</summary>
    public static string Request(int id, string method, JsonObject parameters) =>
        new JsonObject { ["jsonrpc"] = "2.0", ["id"] = id, ["method"] = method, ["params"] = parameters }.ToJsonString(Plain);

    /// <summary>The result in an answer; an error in it is thrown.</summary>
    public static JsonNode? Result(string answer)
    {
        var message = JsonNode.Parse(answer) as JsonObject;
        if (message?["error"] is JsonObject error) throw new ComancheException(error["message"]?.GetValue<string>() ?? "it failed");
        return message?["result"];
    }

    private static JsonObject? One(JsonNode? message, Func<string, JsonObject, JsonNode?> method)
    {
        if (message is not JsonObject request || request["jsonrpc"] is not JsonValue version || !version.TryGetValue<string>(out var two) || two != "2.0"
            || request["method"] is not JsonValue word || !word.TryGetValue<string>(out var name))
            return Error(null, InvalidRequest, "a request has 'jsonrpc': '2.0' and a 'method'");
        var id = request["id"];
        var isNotice = !request.ContainsKey("id");
        if (request["params"] is not (null or JsonObject)) return isNotice ? null : Error(id, InvalidRequest, "'params' is an object of named parameters");
        try
        {
            var result = method(name, request["params"] as JsonObject ?? []);
            if (isNotice) return null;
            return result is null ? Error(id, UnknownMethod, $"there is no method '{name}'{Comanche.Runtime.Loading.Spelling.Suggest(name, StackControl.Methods.Keys)}")
                : new JsonObject { ["jsonrpc"] = "2.0", ["id"] = id?.DeepClone(), ["result"] = result };
        }
        catch (Exception e) when (e is ComancheException or IOException or UnauthorizedAccessException)
        {
            return isNotice ? null : Error(id, Failed, e.Message);
        }
        catch (Exception e)
        {
            // Whoever asks gets an answer, whatever it was.
            return isNotice ? null : Error(id, InternalError, $"unexpected: {e.Message.ReplaceLineEndings(" ")} ({e.GetType().Name})");
        }
    }

    private static JsonObject Error(JsonNode? id, int code, string message) =>
        new() { ["jsonrpc"] = "2.0", ["id"] = id?.DeepClone(), ["error"] = new JsonObject { ["code"] = code, ["message"] = message } };
}
