// Chats whose answer is a value of a class, and chats in which the model calls functions of the app.
package dev.sphereedge

import dev.sphereedge.internal.invalid
import kotlinx.serialization.KSerializer
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put

/**
 * Answers [messages] with a value of [output]'s class: the answer follows its schema (see [Schema] and [Guide]).
 *
 * Throws INVALID_ARGUMENT where `maxTokens` or the context cut the answer off, and where the class does not take what its
 * schema allows; CANCELLED after [TextManager.cancel].
 */
public suspend fun <T> TextManager.chat(
    messages: List<Message>,
    output: KSerializer<T>,
    request: TextRequest = TextRequest(),
    options: ChatOptions = ChatOptions(),
): T {
    if (options.responseFormat != null) throw invalid("the response format is that of `${output.descriptor.serialName}`")
    val format = buildJsonObject {
        put("type", "json_schema")
        put("json_schema", buildJsonObject { put("schema", Schema.of(output.descriptor)) })
    }
    val answer = chat(messages, request, options.copy(responseFormat = format)).answer()
    if (answer.result.finishReason == FinishReason.CANCELLED) throw cancelled()
    return decoded({ Json.decodeFromString(output, answer.text) }) {
        if (answer.result.finishReason == FinishReason.LENGTH) {
            invalid("the answer was cut off after `${answer.result.completionTokens}` tokens", "a greater `maxTokens`")
        } else {
            notTaken("the answer", output, it)
        }
    }
}

/**
 * A function that the model may call: its [name], what it is for, the JSON schema of its arguments, and what is done.
 *
 * [call] gets the arguments, which follow the schema, and returns text for the model. What it throws ends the chat.
 */
public class Tool(
    public val name: String,
    public val description: String,
    public val parameters: JsonObject,
    internal val call: suspend (JsonObject) -> String,
) {
    /** As [ChatOptions.tools] has it. */
    public val json: JsonObject
        get() = buildJsonObject {
            put("type", "function")
            put(
                "function",
                buildJsonObject {
                    put("name", name)
                    put("description", description)
                    put("parameters", parameters)
                },
            )
        }

    public companion object {
        /** A tool whose arguments are a class. */
        public fun <T> of(name: String, description: String, arguments: KSerializer<T>, call: suspend (T) -> String): Tool =
            Tool(name, description, Schema.of(arguments.descriptor)) { given ->
                call(decoded({ Json.decodeFromJsonElement(arguments, given) }) { notTaken("the call of `$name`", arguments, it) })
            }
    }
}

/** The last [answer] of a chat with tools, and all [messages] with those that came to be, for the next call. */
public class ToolAnswer internal constructor(public val answer: TextAnswer, public val messages: List<Message>)

/**
 * Answers [messages], calling [tools] as the model wants, in at most [rounds] rounds. Throws UNSUPPORTED where it wants
 * more of them, which are not called.
 *
 * Calls of one round are made one after the other. [ChatOptions.toolChoice] holds for the first round: a model that must
 * call a tool would do so forever. A call of an unknown tool is answered with an error that the model reads.
 */
public suspend fun TextManager.chat(
    messages: List<Message>,
    tools: List<Tool>,
    rounds: Int = 8,
    request: TextRequest = TextRequest(),
    options: ChatOptions = ChatOptions(),
): ToolAnswer {
    if (rounds < 0) throw invalid("`$rounds` is not a number of rounds")
    val byName = tools.associateBy { it.name }
    if (byName.size < tools.size) throw invalid("two tools have the same name")
    val all = ArrayList(messages)
    for (round in 0..rounds) {
        val choice = options.toolChoice.takeIf { round == 0 }
        val answer = chat(all, request, options.copy(tools = tools.map { it.json }, toolChoice = choice)).answer()
        all += answer.message
        if (answer.result.finishReason == FinishReason.CANCELLED) throw cancelled()
        if (answer.toolCalls.isEmpty()) return ToolAnswer(answer, all)
        if (round < rounds) for (call in answer.toolCalls) all += Message.tool(call.id, called(byName[call.name], call))
    }
    throw SphereEdgeException(Status.UNSUPPORTED, "the model still calls tools after `$rounds` rounds", "allow more rounds, or fewer tools")
}

private suspend fun called(tool: Tool?, call: ToolCall): String {
    if (tool == null) return "unknown tool: ${call.name}"
    val arguments = decoded({ Json.decodeFromString(JsonObject.serializer(), call.arguments) }) {
        invalid("the arguments of `${call.name}` were cut off", "a greater `maxTokens`")
    }
    return tool.call(arguments)
}

private fun <T> decoded(read: () -> T, failure: (Throwable) -> SphereEdgeException): T = try {
    read()
} catch (error: IllegalArgumentException) {
    // Of kotlinx.serialization, or what the class itself requires.
    throw failure(error)
}

private fun notTaken(what: String, type: KSerializer<*>, cause: Throwable): SphereEdgeException {
    val hint = "its schema allows what the class does not take"
    return SphereEdgeException(Status.INVALID_ARGUMENT, "$what is not a `${type.descriptor.serialName}`", hint, cause)
}

private fun cancelled() = SphereEdgeException(Status.CANCELLED, "the call was cancelled")
