// Requests of the contract's cases as values of the library; a name that is not known fails.
package dev.sphereedge

import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.flow.Flow
import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.*

internal val JsonElement.string: String get() = jsonPrimitive.content

internal fun output(vararg fields: Pair<String, Any>): Map<String, JsonElement> = fields.associate { (name, value) ->
    name to if (value is Number) JsonPrimitive(value) else JsonPrimitive(value as String)
}

internal fun ints(values: List<Number>) = JsonArray(values.map(::JsonPrimitive))

internal fun json(text: String): JsonElement = try {
    Json.parseToJsonElement(text).takeUnless { it is JsonPrimitive && !it.isString && it.doubleOrNull == null && it.booleanOrNull == null } ?: JsonNull
} catch (_: SerializationException) {
    JsonNull
}

internal fun messages(wanted: JsonObject) = wanted.getValue("messages").jsonArray.map { Message(it.jsonObject) }

/** All events, and [onPiece] for each that has text. */
internal suspend fun Flow<TextEvent>.onEachPiece(onPiece: () -> Unit): List<TextEvent> {
    val events = ArrayList<TextEvent>()
    collect {
        events += it
        if (it is TextDelta && it.kind == DeltaKind.TEXT && it.text.isNotEmpty()) onPiece()
    }
    return events
}

private fun <T> folded(from: JsonObject, start: T, next: (T, String, JsonElement) -> T): T =
    from.entries.fold(start) { made, (name, value) -> next(made, name, value) }

internal fun textRequest(wanted: JsonObject): TextRequest = folded(wanted["request"]?.jsonObject ?: JsonObject(emptyMap()), TextRequest()) { made, name, value ->
    when (name) {
        "max_tokens" -> made.copy(maxTokens = value.jsonPrimitive.int)
        "temperature" -> made.copy(temperature = value.jsonPrimitive.float)
        "seed" -> made.copy(seed = value.jsonPrimitive.long)
        "stop" -> made.copy(stop = value.jsonArray.map { it.string })
        "grammar" -> made.copy(grammar = value.string)
        "json_schema" -> made.copy(jsonSchema = value.string)
        "logit_bias" -> made.copy(logitBias = value.jsonObject.entries.associate { (id, bias) -> id.toInt() to bias.string.replace("inf", "Infinity").toFloat() })
        "ignore_end_of_text" -> made.copy(ignoreEndOfText = value.jsonPrimitive.boolean)
        "logprobs" -> made.copy(logprobs = value.jsonPrimitive.boolean)
        "top_logprobs" -> made.copy(topLogprobs = value.jsonPrimitive.int)
        "timeout_s" -> made.copy(timeout = value.jsonPrimitive.double.seconds)
        else -> throw AssertionError("unknown in a request: $name")
    }
}

internal fun chatOptions(wanted: JsonObject): ChatOptions = folded(wanted["options"]?.jsonObject ?: JsonObject(emptyMap()), ChatOptions()) { made, name, value ->
    when (name) {
        "tools" -> made.copy(tools = value.jsonArray.map { it.jsonObject })
        "tool_choice" -> made.copy(toolChoice = value)
        "parallel_tool_calls" -> made.copy(parallelToolCalls = value.jsonPrimitive.boolean)
        "response_format" -> made.copy(responseFormat = value.jsonObject)
        else -> throw AssertionError("unknown in options: $name")
    }
}

internal fun speech(wanted: JsonObject): TranscriptionRequest = folded(wanted["request"]?.jsonObject ?: JsonObject(emptyMap()), TranscriptionRequest()) { made, name, value ->
    when (name) {
        "language" -> made.copy(language = value.string)
        "word_timestamps" -> made.copy(wordTimestamps = value.jsonPrimitive.boolean)
        "beam_size" -> made.copy(beamSize = value.jsonPrimitive.int)
        else -> throw AssertionError("unknown in a request: $name")
    }
}

internal fun imageRequest(from: JsonObject): ImageRequest = folded(from, ImageRequest()) { made, name, value ->
    when (name) {
        "seed" -> made.copy(seed = value.jsonPrimitive.long)
        "steps" -> made.copy(steps = value.jsonPrimitive.int)
        "batch" -> made.copy(batch = value.jsonPrimitive.int)
        "width" -> made.copy(width = value.jsonPrimitive.int)
        "sampler" -> made.copy(sampler = value.string)
        else -> throw AssertionError("unknown in a request: $name")
    }
}
