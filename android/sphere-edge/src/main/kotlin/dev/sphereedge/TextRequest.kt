// How a text is generated.
package dev.sphereedge

import dev.sphereedge.internal.Options
import dev.sphereedge.internal.invalid
import kotlin.time.Duration
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject

/**
 * How tokens are chosen and when to stop; null: the model's own default. The core checks the ranges.
 *
 * [maxTokens] 0: until the model stops or the context is full. [temperature] 0: always the likeliest token. [topK] 0,
 * [topP] 1, [minP] 0, [xtcProbability] 0, [repeatPenalty] 1, [presencePenalty] 0, [frequencyPenalty] 0 and
 * [dryMultiplier] 0: off. [logitBias] is added to the logits of these tokens; minus infinity forbids one. The same
 * [seed] gives the same text. The text ends before the first string of [stop] or the first of [stopTokenIds], and
 * follows [grammar] (GBNF) or [jsonSchema]. [logprobs]: deltas have log probabilities, with the [topLogprobs] (up to
 * 20) likeliest tokens at each place. [sequenceKey]: the name of a conversation, which keeps its KV cache among those
 * of `sequences`. [chatTemplateArguments]: variables of the chat template, for chats only. [draft] changes when a text
 * comes and not what it is: at most [draftTokens] are drafted at once, of the prompt, the answer so far and [prediction],
 * or by [TextOpenOptions.draftModel].
 */
public data class TextRequest(
    val maxTokens: Int? = null,
    val temperature: Float? = null,
    val topK: Int? = null,
    val topP: Float? = null,
    val minP: Float? = null,
    val repeatPenalty: Float? = null,
    val presencePenalty: Float? = null,
    val frequencyPenalty: Float? = null,
    val repeatLastN: Int? = null,
    val xtcProbability: Float? = null,
    val xtcThreshold: Float? = null,
    val dryMultiplier: Float? = null,
    val dryBase: Float? = null,
    val dryAllowedLength: Int? = null,
    val dryLastN: Int? = null,
    val drySequenceBreakers: List<String>? = null,
    val logitBias: Map<Int, Float> = emptyMap(),
    val seed: Long? = null,
    val stop: List<String> = emptyList(),
    val stopTokenIds: List<Int> = emptyList(),
    val grammar: String? = null,
    val jsonSchema: String? = null,
    val ignoreEndOfText: Boolean = false,
    val logprobs: Boolean = false,
    val topLogprobs: Int? = null,
    val sequenceKey: String? = null,
    val timeout: Duration? = null,
    val chatTemplateArguments: Map<String, JsonElement> = emptyMap(),
    val draft: Draft? = null,
    val draftTokens: Int? = null,
    val prediction: String? = null,
) {
    internal fun put(options: Options): Unit = with(options) {
        put("max_tokens", maxTokens)
        put("temperature", temperature)
        put("top_k", topK)
        put("top_p", topP)
        put("min_p", minP)
        put("repeat_penalty", repeatPenalty)
        put("presence_penalty", presencePenalty)
        put("frequency_penalty", frequencyPenalty)
        put("repeat_last_n", repeatLastN)
        put("xtc_probability", xtcProbability)
        put("xtc_threshold", xtcThreshold)
        put("dry_multiplier", dryMultiplier)
        put("dry_base", dryBase)
        put("dry_allowed_length", dryAllowedLength)
        put("dry_last_n", dryLastN)
        putAll("dry_sequence_breakers", drySequenceBreakers ?: emptyList())
        for ((token, bias) in logitBias) {
            if (bias.isNaN() || bias == Float.POSITIVE_INFINITY) throw invalid("`$bias` is not a bias of `logitBias`")
            put("logit_bias", "$token:$bias")
        }
        // The greatest of its type stands for a random one.
        if (seed != null && seed !in 0 until UInt.MAX_VALUE.toLong()) throw invalid("`$seed` is not a value of `seed`")
        put("seed", seed)
        putAll("stop", stop)
        putAll("stop_token_ids", stopTokenIds)
        put("grammar", grammar)
        put("json_schema", jsonSchema)
        if (ignoreEndOfText) put("ignore_end_of_text", true)
        if (logprobs) put("logprobs", true)
        put("top_logprobs", topLogprobs)
        put("sequence_key", sequenceKey)
        put("timeout_ms", timeout)
        put("draft", draft?.ordinal)
        put("draft_tokens", draftTokens)
        put("prediction", prediction)
    }
}

/** Where drafts come from, in the order of se_draft: nowhere, the prompt and the answer so far, the draft model. */
public enum class Draft { OFF, PROMPT_LOOKUP, MODEL }

/**
 * What a chat may answer; as in OpenAI's chat completions.
 *
 * [tools] are functions as JSON (see [Tool.json]). [toolChoice]: `auto`, `none`, `required`, or an object that names
 * one. [responseFormat]: `json_schema` or `json_object`. [reasoning] true, false or the most tokens of it; null: as the
 * model's template has it. [continueFinalMessage]: the answer goes on with the last message, the assistant's.
 */
public data class ChatOptions(
    val tools: List<JsonObject> = emptyList(),
    val toolChoice: JsonElement? = null,
    val parallelToolCalls: Boolean? = null,
    val responseFormat: JsonObject? = null,
    val reasoning: JsonPrimitive? = null,
    val continueFinalMessage: Boolean = false,
)

internal fun conversation(messages: List<Message>, request: TextRequest, options: ChatOptions): String =
    buildJsonObject {
        put("messages", kotlinx.serialization.json.JsonArray(messages.map { it.json }))
        if (options.tools.isNotEmpty()) put("tools", kotlinx.serialization.json.JsonArray(options.tools))
        options.toolChoice?.let { put("tool_choice", it) }
        options.parallelToolCalls?.let { put("parallel_tool_calls", JsonPrimitive(it)) }
        options.responseFormat?.let { put("response_format", it) }
        options.reasoning?.let { put("reasoning", it) }
        if (options.continueFinalMessage) put("continue_final_message", JsonPrimitive(true))
        if (request.chatTemplateArguments.isNotEmpty()) {
            put("chat_template_kwargs", JsonObject(request.chatTemplateArguments))
        }
    }.toString()
