// Runs the cases of tests/contract with the Kotlin library.
package dev.sphereedge

import java.io.File
import java.security.MessageDigest
import kotlin.math.round
import kotlin.math.sqrt
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.flow.asFlow
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.*

/** Fields of a step's output, by the names of tests/contract/README.md. */
private typealias Output = Map<String, JsonElement>

/** One case: a model that is open, and what its steps gave. [folder]: for files that the case writes. */
internal class ContractRunner(private val case: JsonObject, private val folder: File) {
    private val outputs = HashMap<String, Output>()
    private var manager: AutoCloseable? = null

    /** Throws AssertionError for what is otherwise than the case says. */
    fun run(): Unit = runBlocking {
        case["model"]?.let { manager = open(it.string, it.string, case["open"]?.jsonObject ?: JsonObject(emptyMap())) }
        try {
            case.getValue("steps").jsonArray.forEachIndexed { number, step -> check(number, step.jsonObject) }
        } finally {
            manager?.close()
        }
    }

    private suspend fun check(number: Int, step: JsonObject) {
        val unknown = step.keys - setOf("id", "call", "with", "after", "expect")
        if (unknown.isNotEmpty()) throw AssertionError("unknown keys: $unknown")
        val output = step(step)
        outputs[step["id"]?.string ?: ""] = output
        for ((field, expected) in step.getValue("expect").jsonObject) {
            val found = output[field] ?: JsonNull
            val conditions = expected as? JsonObject ?: JsonObject(mapOf("equals" to expected))
            for ((condition, value) in conditions) {
                if (!holds(condition, found, value, field)) throw AssertionError("step $number, $field: $condition $value in $output")
            }
        }
    }

    private fun holds(condition: String, found: JsonElement, value: JsonElement, field: String) = when (condition) {
        "equals" -> same(found, value)
        "same_as" -> same(found, outputs.getValue(value.string).getValue(field))
        "differs_from" -> !same(found, outputs.getValue(value.string).getValue(field))
        "at_least" -> found.jsonPrimitive.double >= value.jsonPrimitive.double
        "at_most" -> found.jsonPrimitive.double <= value.jsonPrimitive.double
        "contains" -> value.string in found.string
        else -> throw AssertionError("unknown condition: $condition")
    }

    /** 1 and 1.0 are the same number. */
    private fun same(a: JsonElement, b: JsonElement): Boolean = when {
        a is JsonArray && b is JsonArray -> a.size == b.size && a.indices.all { same(a[it], b[it]) }
        a is JsonPrimitive && b is JsonPrimitive && !a.isString && !b.isString && a.doubleOrNull != null -> a.doubleOrNull == b.doubleOrNull
        else -> a == b
    }

    private suspend fun step(step: JsonObject): Output = try {
        val wanted = step["with"]?.jsonObject ?: JsonObject(emptyMap())
        mapOf("status" to JsonPrimitive("OK")) + call(step.getValue("call").string, wanted, step["after"]?.jsonObject)
    } catch (error: SphereEdgeException) {
        failed(error)
    }

    private fun failed(error: SphereEdgeException): Output =
        output("status" to error.status.name, "message" to error.message!!)

    private suspend fun call(name: String, wanted: JsonObject, after: JsonObject?): Output {
        when (name) {
            "text.open", "audio.open", "image.open" ->
                open(name.substringBefore('.'), wanted.getValue("model").string, wanted["options"]?.jsonObject ?: JsonObject(emptyMap())).close()
            "close" -> manager!!.close()
            "text.generate", "text.chat" -> return generate(wanted, after)
            "text.run_tools" -> return runTools(wanted)
            "text.render_chat" -> return output("text" to text.renderChat(messages(wanted)))
            "text.tokenize" -> return mapOf("ids" to ints(text.tokenize(wanted.getValue("text").string, wanted["add_special"]?.jsonPrimitive?.boolean ?: true).asList()))
            "text.detokenize" -> return output("text" to text.detokenize(wanted.getValue("ids").jsonArray.map { it.jsonPrimitive.int }.toIntArray()))
            "text.embed" -> return embed(wanted)
            "text.save" -> return output("tokens" to text.save(file(wanted), wanted["sequence_key"]?.string))
            "text.restore" -> return output("tokens" to text.restore(file(wanted), wanted["sequence_key"]?.string))
            "text.reset" -> text.reset()
            "audio.transcribe" -> return transcribe(wanted)
            "audio.stream" -> return live(wanted)
            "image.generate" -> return draw(wanted)
            else -> throw AssertionError("unknown call: $name")
        }
        return emptyMap()
    }

    private val text get() = manager as TextManager

    private suspend fun open(kind: String, model: String, options: JsonObject): AutoCloseable = when (kind) {
        "audio" -> AudioManager.open(Models[model])
        "image" -> ImageManager.open(Models[model])
        else -> {
            require((options.keys - setOf("backend", "sequences")).isEmpty()) { "unknown options: $options" }
            TextManager.open(Models[model], TextOpenOptions(backend = options["backend"]?.string, sequences = options["sequences"]?.jsonPrimitive?.int ?: 1))
        }
    }

    private suspend fun generate(wanted: JsonObject, after: JsonObject?): Output {
        val request = textRequest(wanted)
        val flow = wanted["prompt"]?.let { text.generate(it.string, request) } ?: text.chat(messages(wanted), request, chatOptions(wanted))
        var pieces = 0
        var isReading = true
        val events = flow.takeWhile { isReading || it is TextResult }.onEachPiece {
            pieces++
            if (pieces == after?.get("pieces")?.jsonPrimitive?.int) {
                when (after.getValue("do").string) {
                    "end_reader" -> isReading = false
                    "cancel" -> text.cancel()
                    "close" -> text.close()
                    else -> throw AssertionError("unknown: $after")
                }
            }
        }
        if (!isReading) return output("pieces" to pieces)
        val answer = events.asFlow().answer()
        val logprobs = events.filterIsInstance<TextDelta>().flatMap { it.logprobs }
        val result = answer.result
        return output(
            "status" to if (result.finishReason == FinishReason.CANCELLED) "CANCELLED" else "OK",
            "text" to answer.text, "pieces" to pieces, "finish_reason" to result.finishReason.name.lowercase(), "seed" to result.seed,
            "prompt_tokens" to result.promptTokens, "cached_tokens" to result.cachedTokens, "completion_tokens" to result.completionTokens,
            "reasoning_tokens" to result.reasoningTokens, "logprobs" to logprobs.size, "top_logprobs" to logprobs.sumOf { it.topLogprobs.size },
        ) + mapOf(
            "json" to json(answer.text), "stop_index" to JsonPrimitive(result.stopIndex),
            "tool_calls" to JsonArray(answer.toolCalls.map { JsonObject(mapOf("name" to JsonPrimitive(it.name), "arguments" to json(it.arguments))) }),
        )
    }

    private suspend fun runTools(wanted: JsonObject): Output {
        val ran = ArrayList<JsonElement>()
        val tools = wanted.getValue("tools").jsonArray.map { it.jsonObject }.map { one ->
            Tool(one.getValue("name").string, one.getValue("description").string, one.getValue("parameters").jsonObject) { given ->
                ran += JsonObject(mapOf("name" to one.getValue("name"), "arguments" to given))
                one.getValue("returns").string
            }
        }
        val output = try {
            val done = text.chat(messages(wanted), tools, wanted.getValue("rounds").jsonPrimitive.int, textRequest(wanted), chatOptions(wanted))
            output("text" to done.answer.text) + ("roles" to JsonArray(done.messages.map { it.json.getValue("role") }))
        } catch (error: SphereEdgeException) {
            failed(error)
        }
        return output + ("ran" to JsonArray(ran))
    }

    private suspend fun embed(wanted: JsonObject): Output {
        val options = wanted["request"]?.jsonObject ?: JsonObject(emptyMap())
        val pooling = options["pooling"]?.string?.uppercase()?.let(Pooling::valueOf)
        val made = text.embed(wanted.getValue("texts").jsonArray.map { it.string }, EmbedRequest(pooling, options["normalize"]?.jsonPrimitive?.boolean ?: true))
        val lengths = made.vectors.map { one -> JsonPrimitive(round(sqrt(one.sumOf { (it * it).toDouble() }) * 10000) / 10000) }
        return output("vectors" to made.vectors.size, "size" to made.vectors[0].size, "truncated" to made.truncated) + ("lengths" to JsonArray(lengths))
    }

    private suspend fun transcribe(wanted: JsonObject): Output {
        val events = (manager as AudioManager).transcribe(Models[wanted.getValue("file").string], speech(wanted)).toList()
        val segments = events.filterIsInstance<Segment>()
        return output(
            "text" to segments.joinToString("") { it.text }.trim(), "language" to (events.last() as TranscriptionResult).language,
            "segments" to segments.size, "words" to segments.sumOf { it.words.size },
        )
    }

    private suspend fun live(wanted: JsonObject): Output {
        val blocks = WavFile.read(Models[wanted.getValue("file").string]).asList().chunked(wanted.getValue("block").jsonPrimitive.int) { it.toFloatArray() }
        val final = (manager as AudioManager).transcribeLive(blocks.asFlow(), speech(wanted)).toList().filter { it.isFinal }
        return output("text" to final.joinToString("") { it.segment.text }.trim(), "segments" to final.size)
    }

    private suspend fun draw(wanted: JsonObject): Output {
        val events = (manager as ImageManager).generate(wanted.getValue("prompt").string, imageRequest(wanted.getValue("request").jsonObject)).toList()
        val images = events.filterIsInstance<GeneratedImage>()
        val digest = MessageDigest.getInstance("SHA-256").apply { images.forEach { update(it.pixels.bytes) } }.digest()
        return output(
            "images" to images.size, "progress" to events.count { it is ImageProgress }, "width" to images[0].pixels.width,
            "height" to images[0].pixels.height, "pixels" to digest.joinToString("") { "%02x".format(it) },
        ) + ("seeds" to ints(images.map { it.seed }))
    }

    private fun file(wanted: JsonObject) = wanted["model"]?.let { Models[it.string] } ?: File(folder, wanted.getValue("file").string)
}
