// Speech recognition, from a bundle folder or a whisper.cpp file.
package dev.sphereedge

import dev.sphereedge.internal.Handle
import dev.sphereedge.internal.Info
import dev.sphereedge.internal.Native
import dev.sphereedge.internal.Options
import dev.sphereedge.internal.Receiver
import dev.sphereedge.internal.call
import dev.sphereedge.internal.opened
import dev.sphereedge.internal.options
import dev.sphereedge.internal.stream
import dev.sphereedge.internal.utf8
import java.io.File
import kotlin.time.Duration
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow

/**
 * [threads] 0: one per performance core. [vadModel]: a Silero VAD in whisper.cpp's format; null: the bundle's own.
 * [trustedKeys]: as in [TextOpenOptions].
 */
public data class AudioOpenOptions(val threads: Int = 0, val vadModel: File? = null, val trustedKeys: String? = null)

/** What was opened; [languages] 1: English only. */
public data class AudioInfo(
    val name: String,
    val engine: String,
    val backend: String,
    val family: String,
    val quantization: String,
    val multilingual: Boolean,
    val languages: Int,
    val sampleRate: Int,
    val melBins: Int,
    val vocabSize: Int,
    val threads: Int,
    val hasVad: Boolean,
    val weightsBytes: Long,
    val loadSeconds: Double,
)

/**
 * How speech is transcribed. [language]: a code such as `de`; null: detected. [translate]: into English. [prompt]: words
 * and names that may occur. [temperatureStep] is added after each attempt that failed, 0: one only; null: 0.2, and 0
 * for live audio. [beamSize] 0: greedy. [vad]: only where there is speech; needs a VAD model.
 * [conditionOnPreviousText]: what was said before helps with the next 30 s; without it nothing is repeated from there.
 */
public data class TranscriptionRequest(
    val language: String? = null,
    val translate: Boolean = false,
    val prompt: String? = null,
    val temperature: Float? = null,
    val temperatureStep: Float? = null,
    val beamSize: Int = 0,
    val wordTimestamps: Boolean = false,
    val maxSegmentCharacters: Int = 0,
    val vad: Boolean = false,
    val conditionOnPreviousText: Boolean = true,
    val timeout: Duration? = null,
) {
    internal fun put(options: Options): Unit = with(options) {
        put("language", language)
        put("translate", translate)
        put("prompt", prompt)
        put("temperature", temperature)
        put("temperature_step", temperatureStep)
        put("beam_size", beamSize)
        put("word_timestamps", wordTimestamps)
        put("max_segment_characters", maxSegmentCharacters)
        put("vad", vad)
        put("ignore_previous_text", !conditionOnPreviousText)
        put("timeout_ms", timeout)
    }
}

/**
 * Live audio is transcribed once per [step]. A segment is final when it ended [silence] ago, or when there is [longest]
 * of audio since it began.
 */
public data class LiveOptions(
    val step: Duration = 1.seconds,
    val silence: Duration = 800.milliseconds,
    val longest: Duration = 15.seconds,
)

/**
 * A speech recognition model that is open.
 *
 * Any thread, one call at a time: another one while the model is at work throws [SphereEdgeException]. Flows are cold;
 * ending the collector stops the engine. [close] cancels, waits, and may be called twice. Samples are mono, of full
 * scale -1 to 1, at 16 kHz: see [WavFile].
 */
public class AudioManager private constructor(pointer: Long, name: String) : AutoCloseable {
    public val info: AudioInfo
    private val handle: Handle

    init {
        info = try {
            audioInfo(name, Info(Native.audioInfo(pointer)))
        } catch (error: Throwable) {
            Native.audioClose(pointer)
            throw error
        }
        handle = Handle(pointer, Native::audioCancel, Native::audioClose)
    }

    /** The segments in order, each as soon as it is known, and progress; at the end a [TranscriptionResult]. */
    public fun transcribe(samples: FloatArray, request: TranscriptionRequest = TranscriptionRequest()): Flow<AudioEvent> =
        handle.stream(Native::audioCancel, { it is TranscriptionResult }, ::audioEvent) { audio, receiver ->
            Native.audioTranscribe(audio, samples, options { request.put(this) }, receiver)
        }

    /** The same for a wav file. */
    public fun transcribe(file: File, request: TranscriptionRequest = TranscriptionRequest()): Flow<AudioEvent> = flow {
        transcribe(WavFile.read(file), request).collect { emit(it) }
    }

    /**
     * Transcribes live [audio], blocks of samples of any length: a segment that is not final is replaced by the next.
     * When [audio] ends, the rest becomes final.
     */
    public fun transcribeLive(
        audio: Flow<FloatArray>,
        request: TranscriptionRequest = TranscriptionRequest(),
        live: LiveOptions = LiveOptions(),
    ): Flow<LiveSegment> = flow {
        val found = ArrayList<LiveSegment>()
        val receiver = Receiver { kind, numbers, bytes ->
            found += liveSegment(kind, numbers, bytes)
            true
        }
        var stream = 0L
        // Inside the call, so that the model cannot be freed between the two.
        val owned = handle.call { audio ->
            val pairs = options {
                put("step_ms", live.step.inWholeMilliseconds)
                put("silence_ms", live.silence.inWholeMilliseconds)
                put("longest_ms", live.longest.inWholeMilliseconds)
            }
            stream = Native.streamOpen(audio, options { request.put(this) }, pairs)
            handle.own { Native.streamClose(stream) }
        }
        suspend fun take(work: (Long) -> Int) {
            val status = handle.call(Native::audioCancel) { work(stream) }
            if (status != Status.OK.ordinal) throw SphereEdgeException(Status.CANCELLED, "the call was cancelled")
            val taken = found.toList()
            found.clear()
            taken.forEach { emit(it) }
        }
        try {
            audio.collect { samples -> take { Native.streamPush(it, samples, receiver) } }
            take { Native.streamFinish(it, receiver) }
        } finally {
            // Frees the stream unless the model has been closed, which has freed it.
            owned.close()
        }
    }

    /** Ends what runs soon; its flow ends with a result. Any thread; does nothing where nothing runs. */
    public fun cancel(): Unit = handle.cancel()

    /** Waits for what runs: not for the main thread while a call may run. */
    override fun close(): Unit = handle.close()

    public companion object {
        /** Samples per second. */
        public const val SAMPLE_RATE: Int = 16000

        /** Opens a bundle folder or a whisper.cpp file; it can be used when this returns. */
        public suspend fun open(path: File, options: AudioOpenOptions = AudioOpenOptions()): AudioManager = opened {
            val pairs = options {
                put("threads", options.threads)
                put("vad_model", options.vadModel?.path)
                put("trusted_keys", options.trustedKeys)
            }
            AudioManager(Native.audioOpen(utf8("the path", path.path), pairs), modelName(path, "bin"))
        }
    }
}

private fun audioInfo(name: String, from: Info) = AudioInfo(
    name = name,
    engine = from.text("engine"),
    backend = from.text("backend"),
    family = from.text("family"),
    quantization = from.text("quantization"),
    multilingual = from.boolean("multilingual"),
    languages = from.int("languages"),
    sampleRate = from.int("sample_rate"),
    melBins = from.int("mel_bins"),
    vocabSize = from.int("vocab_size"),
    threads = from.int("threads"),
    hasVad = from.boolean("has_vad"),
    weightsBytes = from.long("weights_bytes"),
    loadSeconds = from.double("load_seconds"),
)
