// What comes while a text is generated.
package dev.sphereedge

import dev.sphereedge.internal.Reader
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.filterIsInstance
import kotlinx.coroutines.flow.filter
import kotlinx.coroutines.flow.map
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put

/** A [TextDelta], any number of times, and at the end one [TextResult]. */
public sealed interface TextEvent

/** What a delta is a piece of. */
public enum class DeltaKind { TEXT, REASONING, TOOL_CALL_BEGIN, TOOL_CALL_ARGUMENTS, TOOL_CALL_END }

/** Why an answer ended: by itself or at a stop, at [TextRequest.maxTokens] or a full context, by a cancel, for tools. */
public enum class FinishReason { STOP, LENGTH, CANCELLED, TOOL_CALLS }

/** The natural logarithm of a token's probability, as the model computed it; [bytes] may be a part of a character. */
public class TokenLogprob internal constructor(
    public val tokenId: Int,
    public val logprob: Float,
    public val bytes: ByteArray,
    public val topLogprobs: List<TokenLogprob>,
)

/**
 * A piece of an answer, of whole characters. The arguments of a tool call together are JSON.
 *
 * [toolCallId] and [toolName] are there where a tool call begins; [toolIndex] counts the calls of an answer.
 */
public data class TextDelta(
    val kind: DeltaKind,
    val text: String,
    val toolIndex: Int = 0,
    val toolCallId: String = "",
    val toolName: String = "",
    val logprobs: List<TokenLogprob> = emptyList(),
) : TextEvent

/**
 * How a generation went. [stopIndex]: which one of [TextRequest.stop] ended it, null: none. [cachedTokens] of the
 * [promptTokens] had been computed by an earlier call. [seed] repeats the text. [acceptedTokens] of the [draftTokens] that
 * were checked became part of it.
 */
public data class TextResult(
    val finishReason: FinishReason,
    val promptTokens: Int,
    val cachedTokens: Int,
    val completionTokens: Int,
    val reasoningTokens: Int,
    val stopIndex: Int?,
    val seed: Long,
    val prefillSeconds: Double,
    val firstTokenSeconds: Double,
    val decodeSeconds: Double,
    val backend: String,
    val draftTokens: Int = 0,
    val acceptedTokens: Int = 0,
) : TextEvent

/** A whole answer; [message] can be appended to the messages of the next call. */
public class TextAnswer internal constructor(
    public val text: String,
    public val reasoning: String,
    public val toolCalls: List<ToolCall>,
    public val result: TextResult,
) {
    public val message: Message
        get() = Message(
            buildJsonObject {
                put("role", "assistant")
                put("content", if (text.isEmpty() && toolCalls.isNotEmpty()) JsonNull else JsonPrimitive(text))
                if (reasoning.isNotEmpty()) put("reasoning_content", reasoning)
                if (toolCalls.isNotEmpty()) put("tool_calls", JsonArray(toolCalls.map { it.json }))
            },
        )
}

/** The model wants [name] called with [arguments], a JSON document. */
public data class ToolCall(val id: String, val name: String, val arguments: String) {
    internal val json: JsonObject
        get() = buildJsonObject {
            put("id", id)
            put("type", "function")
            put("function", buildJsonObject { put("name", name); put("arguments", arguments) })
        }
}

/** The pieces of the text alone. */
public fun Flow<TextEvent>.text(): Flow<String> = filterIsInstance<TextDelta>()
    .filter { it.kind == DeltaKind.TEXT && it.text.isNotEmpty() }
    .map { it.text }

/** Waits for the end; the whole answer. */
public suspend fun Flow<TextEvent>.answer(): TextAnswer {
    val text = StringBuilder()
    val reasoning = StringBuilder()
    val calls = ArrayList<ToolCall>()
    var result: TextResult? = null
    collect { event ->
        when (event) {
            is TextResult -> result = event
            is TextDelta -> when (event.kind) {
                DeltaKind.TEXT -> text.append(event.text)
                DeltaKind.REASONING -> reasoning.append(event.text)
                DeltaKind.TOOL_CALL_BEGIN -> calls += ToolCall(event.toolCallId, event.toolName, "")
                DeltaKind.TOOL_CALL_ARGUMENTS -> calls[event.toolIndex] =
                    calls[event.toolIndex].run { copy(arguments = arguments + event.text) }
                DeltaKind.TOOL_CALL_END -> Unit
            }
        }
    }
    return TextAnswer(text.toString(), reasoning.toString(), calls, checkNotNull(result) { "a generation ends with its result" })
}

private const val TEXT_RESULT = 10

/** In the order of events.cpp; null for a kind that only a newer core knows. */
internal fun textEvent(kind: Int, numbers: DoubleArray, bytes: Array<ByteArray>): TextEvent? {
    val from = Reader(numbers, bytes)
    if (kind == TEXT_RESULT) return textResult(from)
    val known = DeltaKind.entries.getOrNull(kind) ?: return null
    val index = from.int()
    val logprobs = from.int()
    val text = from.text()
    val id = from.text()
    val name = from.text()
    return TextDelta(known, text, index, id, name, List(logprobs) { logprob(from) })
}

private fun logprob(from: Reader): TokenLogprob {
    val id = from.int()
    val value = from.float()
    val count = from.int()
    val bytes = from.bytes()
    return TokenLogprob(id, value, bytes, List(count) { TokenLogprob(from.int(), from.float(), from.bytes(), emptyList()) })
}

private fun textResult(from: Reader) = TextResult(
    finishReason = FinishReason.entries.getOrElse(from.int()) { FinishReason.STOP },
    stopIndex = from.int().takeIf { it >= 0 },
    promptTokens = from.int(),
    cachedTokens = from.int(),
    completionTokens = from.int(),
    reasoningTokens = from.int(),
    seed = from.long(),
    prefillSeconds = from.double(),
    firstTokenSeconds = from.double(),
    decodeSeconds = from.double(),
    backend = from.text(),
    draftTokens = from.int(),
    acceptedTokens = from.int(),
)
