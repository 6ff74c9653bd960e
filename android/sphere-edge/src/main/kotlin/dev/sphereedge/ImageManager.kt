// Image generation with diffusion models, from a bundle folder.
package dev.sphereedge

import dev.sphereedge.internal.Handle
import dev.sphereedge.internal.Info
import dev.sphereedge.internal.Native
import dev.sphereedge.internal.Options
import dev.sphereedge.internal.Reader
import dev.sphereedge.internal.invalid
import dev.sphereedge.internal.opened
import dev.sphereedge.internal.options
import dev.sphereedge.internal.stream
import dev.sphereedge.internal.utf8
import java.io.File
import kotlin.time.Duration
import kotlinx.coroutines.flow.Flow

/** [threads] 0: one per performance core. [trustedKeys]: as in [TextOpenOptions]. */
public data class ImageOpenOptions(val threads: Int = 0, val trustedKeys: String? = null)

/** What was opened; sizes, steps and scales are the model's own. [inpaints]: it needs an initial image and a mask. */
public data class ImageInfo(
    val name: String,
    val engine: String,
    val backend: String,
    val family: String,
    val quantization: String,
    val parameters: Long,
    val width: Int,
    val height: Int,
    val steps: Int,
    val cfgScale: Double,
    val guidance: Double,
    val sizeMultiple: Int,
    val readsImages: Boolean,
    val inpaints: Boolean,
    val threads: Int,
    val weightsBytes: Long,
    val loadSeconds: Double,
)

/** A small change of a model, a safetensors or GGUF file, and how strongly it is applied. */
public data class Lora(val path: File, val strength: Float = 1f)

/**
 * How images are generated; null: the model's own default. The core checks the ranges.
 *
 * [init]: an image to start from, of which [strength] is changed; only where [mask] is white, if there is one.
 * [preview]: small previews come with the progress if the family has them. The same [seed] gives the same image; of a
 * [batch], the next image has the next one.
 */
public data class ImageRequest(
    val negativePrompt: String = "",
    val width: Int? = null,
    val height: Int? = null,
    val steps: Int? = null,
    val sampler: String? = null,
    val schedule: String? = null,
    val cfgScale: Float? = null,
    val guidance: Float? = null,
    val seed: Long? = null,
    val batch: Int = 1,
    val init: Pixels? = null,
    val strength: Float? = null,
    val mask: Pixels? = null,
    val loras: List<Lora> = emptyList(),
    val vaeTiling: Boolean = false,
    val preview: Boolean = false,
    val timeout: Duration? = null,
) {
    internal fun put(options: Options): Unit = with(options) {
        if (negativePrompt.isNotEmpty()) put("negative_prompt", negativePrompt)
        if (init != null) {
            if (init.channels != 3) throw invalid("an initial image has 3 bytes per pixel, not `${init.channels}`")
            put("init", init.bytes)
            put("init_width", init.width)
            put("init_height", init.height)
        }
        put("width", width ?: init?.width)
        put("height", height ?: init?.height)
        if (mask != null) {
            if (mask.channels != 1) throw invalid("a mask has 1 byte per pixel, not `${mask.channels}`")
            put("mask", mask.bytes)
            put("mask_width", mask.width)
            put("mask_height", mask.height)
        }
        if (strength != null && init == null) throw invalid("a strength needs an image to start from")
        put("steps", steps)
        put("sampler", sampler)
        put("schedule", schedule)
        put("cfg_scale", cfgScale)
        put("guidance", guidance)
        put("seed", seed)
        put("batch", batch)
        put("strength", strength)
        putAll("loras", loras.map { "${it.strength}:${it.path.path}" })
        put("vae_tiling", vaeTiling)
        put("preview", preview)
        put("timeout_ms", timeout)
    }
}

/** [ImageProgress] after each step, each [GeneratedImage] when it is finished, and at the end one [ImageResult]. */
public sealed interface ImageEvent

/** Image [image] of [images] (from 0) has [step] of its [steps]. */
public data class ImageProgress(val image: Int, val images: Int, val step: Int, val steps: Int, val preview: Pixels?) : ImageEvent

/** With its [seed] it can be generated again. */
public class GeneratedImage internal constructor(public val pixels: Pixels, public val seed: Long) : ImageEvent

/** How it went; [stepSeconds] is a mean. */
public data class ImageResult(
    val seed: Long,
    val steps: Int,
    val totalSeconds: Double,
    val stepSeconds: Double,
    val firstStepSeconds: Double,
) : ImageEvent

/**
 * An image model that is open.
 *
 * Any thread, one call at a time: another one while the model is at work throws [SphereEdgeException]; images of several
 * managers are generated one after the other. Ending the collector stops the engine; [cancel] ends the flow without a
 * result. [close] cancels, waits, and may be called twice.
 */
public class ImageManager private constructor(pointer: Long, name: String) : AutoCloseable {
    public val info: ImageInfo
    private val handle: Handle

    init {
        info = try {
            imageInfo(name, Info(Native.imageInfo(pointer)))
        } catch (error: Throwable) {
            Native.imageClose(pointer)
            throw error
        }
        handle = Handle(pointer, Native::imageCancel, Native::imageClose)
    }

    /** Generates images of [prompt]. */
    public fun generate(prompt: String, request: ImageRequest = ImageRequest()): Flow<ImageEvent> =
        handle.stream(Native::imageCancel, { it is ImageResult }, ::imageEvent) { image, receiver ->
            Native.imageGenerate(image, utf8("the prompt", prompt), options { request.put(this) }, receiver)
        }

    /** Ends what runs soon. Any thread; does nothing where nothing runs. */
    public fun cancel(): Unit = handle.cancel()

    /** Waits for what runs: not for the main thread while a call may run. */
    override fun close(): Unit = handle.close()

    public companion object {
        /** Opens a bundle folder; it can be used when this returns. */
        public suspend fun open(path: File, options: ImageOpenOptions = ImageOpenOptions()): ImageManager = opened {
            val pairs = options {
                put("threads", options.threads)
                put("trusted_keys", options.trustedKeys)
            }
            ImageManager(Native.imageOpen(utf8("the path", path.path), pairs), modelName(path, "gguf"))
        }
    }
}

private const val BITMAP = 30
private const val PROGRESS = 31
private const val RESULT = 32

/** In the order of events.cpp; null for a kind that only a newer core knows. */
internal fun imageEvent(kind: Int, numbers: DoubleArray, bytes: Array<ByteArray>): ImageEvent? {
    val from = Reader(numbers, bytes)
    return when (kind) {
        BITMAP -> image(from)
        PROGRESS -> ImageProgress(from.int(), from.int(), from.int(), from.int(), if (from.hasNumbers) image(from).pixels else null)
        RESULT -> ImageResult(from.long(), from.int(), from.double(), from.double(), from.double())
        else -> null
    }
}

private fun image(from: Reader): GeneratedImage {
    val pixels = Pixels(from.int(), from.int(), from.int(), from.bytes())
    return GeneratedImage(pixels, from.long())
}

private fun imageInfo(name: String, from: Info) = ImageInfo(
    name = name,
    engine = from.text("engine"),
    backend = from.text("backend"),
    family = from.text("family"),
    quantization = from.text("quantization"),
    parameters = from.long("parameters"),
    width = from.int("width"),
    height = from.int("height"),
    steps = from.int("steps"),
    cfgScale = from.double("cfg_scale"),
    guidance = from.double("guidance"),
    sizeMultiple = from.int("size_multiple"),
    readsImages = from.boolean("reads_images"),
    inpaints = from.boolean("inpaints"),
    threads = from.int("threads"),
    weightsBytes = from.long("weights_bytes"),
    loadSeconds = from.double("load_seconds"),
)
