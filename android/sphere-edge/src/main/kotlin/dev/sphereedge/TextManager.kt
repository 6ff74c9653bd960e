// A language model, from a bundle folder or a .gguf file.
package dev.sphereedge

import dev.sphereedge.internal.Handle
import dev.sphereedge.internal.Info
import dev.sphereedge.internal.Native
import dev.sphereedge.internal.Receiver
import dev.sphereedge.internal.call
import dev.sphereedge.internal.invalid
import dev.sphereedge.internal.opened
import dev.sphereedge.internal.options
import dev.sphereedge.internal.stream
import dev.sphereedge.internal.utf8
import dev.sphereedge.internal.utf8WithNul
import java.io.File
import java.util.concurrent.atomic.AtomicLong
import kotlin.time.Duration
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.emitAll
import kotlinx.coroutines.flow.flow

/**
 * How a text model is opened. [threads] 0: one per performance core. [contextTokens] 0: the bundle's own, or
 * min(4096, the model's) for a .gguf. [backend] (`cpu`, `opencl`, `vulkan`) null: the bundle's first choice, or the
 * next one where that does not work. [sequences]: conversations at once, each with memory for a whole context.
 * [codeFolder]: where the compiled code lies if not in the bundle; on Android `applicationInfo.nativeLibraryDir`.
 * [cacheFolder]: for compiled GPU kernels; on Android a folder in `cacheDir`. [draftModel]: a smaller bundle or .gguf file
 * with the same tokenizer, whose drafts the model checks. [mmproj]: the image encoder of a bare .gguf, a GGUF file; null:
 * it reads text only. A bundle has its own. [trustedKeys]: whose bundles are opened, a public key as PEM or the text of a
 * file of trusted keys (docs/signing.md); every file is hashed then, and what none of them has signed is refused with
 * UNTRUSTED. null: anybody's.
 */
public data class TextOpenOptions(
    val threads: Int = 0,
    val contextTokens: Int = 0,
    val backend: String? = null,
    val sequences: Int = 1,
    val codeFolder: File? = null,
    val cacheFolder: File? = null,
    val draftModel: File? = null,
    val mmproj: File? = null,
    val trustedKeys: String? = null,
)

/**
 * What was opened; sizes in bytes. [backendReason]: why [backend] is not the bundle's first choice, empty if it is.
 * [readsImages]: whether messages may have images.
 */
public data class TextInfo(
    val name: String,
    val engine: String,
    val backend: String,
    val device: String,
    val backendReason: String,
    val family: String,
    val quantization: String,
    val vocabSize: Int,
    val contextTokens: Int,
    val sequences: Int,
    val threads: Int,
    val weightsBytes: Long,
    val kvCacheBytes: Long,
    val hasChatTemplate: Boolean,
    val readsImages: Boolean,
    val generates: Boolean,
    val embeddingSize: Int,
    val embedTokens: Int,
    val pooling: String,
    val loadSeconds: Double,
)

/** How the vectors of a text's tokens become one. */
public enum class Pooling { MEAN, CLS, LAST }

/** How texts become vectors. [pooling] null: as the model says. [normalize]: to length 1. [truncate]: cut off long ones. */
public data class EmbedRequest(
    val pooling: Pooling? = null,
    val normalize: Boolean = true,
    val truncate: Boolean = false,
    val timeout: Duration? = null,
)

/** A vector for each text; [truncated] of the texts were cut off. */
public class Embeddings internal constructor(
    public val vectors: List<FloatArray>,
    public val tokens: Long,
    public val truncated: Int,
    public val seconds: Double,
)

/**
 * A language model that is open.
 *
 * Any thread, one call at a time (with [TextOpenOptions.sequences], any number at once): another one while the model is
 * at work throws [SphereEdgeException]. Flows are cold; ending the collector stops the engine, and `collect` returns
 * when it has stopped. [cancel] ends them with [FinishReason.CANCELLED]. [close] cancels, waits, and may be called twice.
 */
public class TextManager private constructor(pointer: Long, name: String) : AutoCloseable {
    public val info: TextInfo
    private val handle: Handle
    private val callIds = AtomicLong()

    init {
        info = try {
            textInfo(name, Info(Native.textInfo(pointer)))
        } catch (error: Throwable) {
            Native.textClose(pointer)
            throw error
        }
        handle = Handle(pointer, { Native.textCancel(it, 0) }, Native::textClose, isShared = info.sequences > 1)
    }

    /** Continues [prompt]. */
    public fun generate(prompt: String, request: TextRequest = TextRequest()): Flow<TextEvent> =
        generated(request) { text, options, receiver ->
            Native.textGenerate(text, utf8("the prompt", prompt), options, receiver)
        }

    /** Continues a prompt of token ids, to which no special tokens are added. */
    public fun generate(tokenIds: IntArray, request: TextRequest = TextRequest()): Flow<TextEvent> =
        generated(request) { text, options, receiver -> Native.textGenerateTokens(text, tokenIds, options, receiver) }

    /**
     * Answers [messages] with the model's own chat template. What an earlier call has computed of the same beginning is
     * not computed again, images included.
     */
    public fun chat(
        messages: List<Message>,
        request: TextRequest = TextRequest(),
        options: ChatOptions = ChatOptions(),
    ): Flow<TextEvent> = generated(request, images(messages)) { text, pairs, receiver ->
        Native.textChat(text, utf8("the message list", conversation(messages, request, options)), pairs, receiver)
    }

    /** How many tokens the prompt has that [chat] would compute for the same arguments, also those of images. */
    public suspend fun countChat(
        messages: List<Message>,
        request: TextRequest = TextRequest(),
        options: ChatOptions = ChatOptions(),
    ): Int = handle.call {
        val pairs = options { putAll("images", images(messages)) }
        Native.textCountChat(it, utf8("the message list", conversation(messages, request, options)), pairs).toInt()
    }

    /** The prompt that [chat] would compute for the same arguments; where it has an image, `<__media__>`. */
    public suspend fun renderChat(
        messages: List<Message>,
        request: TextRequest = TextRequest(),
        options: ChatOptions = ChatOptions(),
    ): String = handle.call {
        Native.textRenderChat(it, utf8("the message list", conversation(messages, request, options))).decodeToString()
    }

    /** [addSpecial]: begin and end tokens as the model expects them. [parseSpecial]: `<|im_end|>` is that token. */
    public suspend fun tokenize(text: String, addSpecial: Boolean = true, parseSpecial: Boolean = false): IntArray =
        handle.call { Native.textTokenize(it, utf8WithNul("the text", text), addSpecial, parseSpecial) }

    /** The text of these tokens; bytes that are not UTF-8 become U+FFFD. */
    public suspend fun detokenize(tokenIds: IntArray, keepSpecial: Boolean = false): String =
        handle.call { Native.textDetokenize(it, tokenIds, keepSpecial).decodeToString() }

    /** A vector for each text; models that make none throw UNSUPPORTED. */
    public suspend fun embed(texts: List<String>, request: EmbedRequest = EmbedRequest()): Embeddings {
        val callId = callIds.incrementAndGet()
        return handle.call({ Native.textCancel(it, callId) }) { pointer ->
            val encoded = Array(texts.size) { utf8("a text", texts[it]) }
            val size = info.embeddingSize
            val pairs = options {
                put("pooling", request.pooling?.let { it.ordinal + 1 })
                put("raw", !request.normalize)
                put("truncate", request.truncate)
                put("timeout_ms", request.timeout)
                put("call_id", callId)
            }
            val vectors = FloatArray(Math.multiplyExact(texts.size, size))
            val (tokens, truncated, seconds) = Native.textEmbed(pointer, encoded, pairs, vectors)
            val rows = List(texts.size) { vectors.copyOfRange(it * size, (it + 1) * size) }
            Embeddings(rows, tokens.toLong(), truncated.toInt(), seconds)
        }
    }

    /** Natural logarithms of the probability of each token but the first. */
    public suspend fun score(tokenIds: IntArray): FloatArray = handle.call { Native.textScore(it, tokenIds) }

    /**
     * Writes a conversation to [file], to go on with [restore], also in another process; returns its number of tokens.
     * [sequenceKey] null: that of the last call. Whoever can read the file can read the conversation.
     */
    public suspend fun save(file: File, sequenceKey: String? = null): Long =
        handle.call { Native.textSave(it, key(sequenceKey), utf8("the path", file.path)) }

    /** Reads a saved conversation; a prompt that begins with it has only its rest computed. */
    public suspend fun restore(file: File, sequenceKey: String? = null): Long =
        handle.call { Native.textRestore(it, key(sequenceKey), utf8("the path", file.path)) }

    /** Forgets what was computed so far. */
    public suspend fun reset(): Unit = handle.call { Native.textReset(it) }

    /** Ends what runs soon; its flow ends with [FinishReason.CANCELLED]. Any thread; does nothing where nothing runs. */
    public fun cancel(): Unit = handle.cancel()

    /** Waits for what runs: not for the main thread while a call may run. */
    override fun close(): Unit = handle.close()

    private fun images(messages: List<Message>): List<Pixels> = messages.flatMap { it.images }

    private fun generated(
        request: TextRequest,
        images: List<Pixels> = emptyList(),
        call: (Long, Array<ByteArray>, Receiver) -> Int,
    ): Flow<TextEvent> = flow {
        // One for each time that it is collected.
        val callId = callIds.incrementAndGet()
        val events = handle.stream({ Native.textCancel(it, callId) }, { it is TextResult }, ::textEvent) { text, receiver ->
            val pairs = options {
                request.put(this)
                putAll("images", images)
                put("call_id", callId)
            }
            call(text, pairs, receiver)
        }
        emitAll(events)
    }

    private fun key(sequenceKey: String?): ByteArray {
        if (sequenceKey != null && sequenceKey.isEmpty()) throw invalid("a sequence key of no characters")
        return utf8("the sequence key", sequenceKey ?: "")
    }

    public companion object {
        /** Opens a bundle folder or a .gguf file; it can be used when this returns. */
        public suspend fun open(path: File, options: TextOpenOptions = TextOpenOptions()): TextManager = opened {
            val pairs = options {
                put("threads", options.threads)
                put("context_tokens", options.contextTokens)
                put("backend", options.backend)
                put("sequences", options.sequences)
                put("code_folder", options.codeFolder?.path)
                put("cache_folder", options.cacheFolder?.path)
                put("draft_model", options.draftModel?.path)
                put("mmproj", options.mmproj?.path)
                put("trusted_keys", options.trustedKeys)
            }
            TextManager(Native.textOpen(utf8("the path", path.path), pairs), modelName(path, "gguf"))
        }
    }
}

/** The model's name: that of its folder or file, without the suffix of its format. */
internal fun modelName(path: File, suffix: String): String =
    path.absoluteFile.normalize().name.removeSuffix(".$suffix")

private fun textInfo(name: String, from: Info) = TextInfo(
    name = name,
    engine = from.text("engine"),
    backend = from.text("backend"),
    device = from.text("device"),
    backendReason = from.text("backend_reason"),
    family = from.text("family"),
    quantization = from.text("quantization"),
    vocabSize = from.int("vocab_size"),
    contextTokens = from.int("context_tokens"),
    sequences = from.int("sequences"),
    threads = from.int("threads"),
    weightsBytes = from.long("weights_bytes"),
    kvCacheBytes = from.long("kv_cache_bytes"),
    hasChatTemplate = from.boolean("has_chat_template"),
    readsImages = from.boolean("reads_images"),
    generates = from.boolean("generates"),
    embeddingSize = from.int("embedding_size"),
    embedTokens = from.int("embed_tokens"),
    pooling = from.text("pooling"),
    loadSeconds = from.double("load_seconds"),
)
