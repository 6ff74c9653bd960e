// Sound files of any format that the phone decodes (m4a, mp3, ogg, flac, videos, …), as samples for AudioManager.
package dev.sphereedge.android

import android.content.Context
import android.media.AudioFormat
import android.media.MediaCodec
import android.media.MediaExtractor
import android.media.MediaFormat
import android.net.Uri
import dev.sphereedge.SphereEdgeException
import dev.sphereedge.Status
import dev.sphereedge.internal.Resampler
import dev.sphereedge.internal.Samples
import dev.sphereedge.internal.SoundFormat
import dev.sphereedge.internal.mono
import java.io.FileNotFoundException
import java.io.IOException
import java.nio.ByteOrder
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.withContext

private const val WAIT_US = 10_000L

/**
 * The first audio track of [uri] as mono samples at 16 kHz, for `AudioManager.transcribe`; 230 MB of memory for an hour.
 *
 * Throws UNSUPPORTED (no sound in it, or none that this phone decodes), NOT_FOUND, MODEL_CORRUPT (damaged).
 */
public suspend fun Context.readAudio(uri: Uri): FloatArray = withContext(Dispatchers.IO) {
    val extractor = MediaExtractor()
    try {
        try {
            extractor.setDataSource(this@readAudio, uri, null)
        } catch (error: FileNotFoundException) {
            throw SphereEdgeException(Status.NOT_FOUND, "no file `$uri`", cause = error)
        } catch (error: IOException) {
            throw SphereEdgeException(Status.UNSUPPORTED, "this phone does not know the format of `$uri`", cause = error)
        }
        val track = (0 until extractor.trackCount).firstOrNull { extractor.getTrackFormat(it).mime.startsWith("audio/") }
            ?: throw SphereEdgeException(Status.UNSUPPORTED, "`$uri` has no sound")
        extractor.selectTrack(track)
        decoded(extractor, extractor.getTrackFormat(track), uri)
    } finally {
        extractor.release()
    }
}

private val MediaFormat.mime: String get() = getString(MediaFormat.KEY_MIME).orEmpty()

private suspend fun decoded(extractor: MediaExtractor, format: MediaFormat, uri: Uri): FloatArray {
    val codec = try {
        MediaCodec.createDecoderByType(format.mime)
    } catch (error: IOException) {
        throw SphereEdgeException(Status.UNSUPPORTED, "this phone does not decode `${format.mime}`", cause = error)
    }
    try {
        codec.configure(format, null, null, 0)
        codec.start()
        return Decoding(extractor, codec).samples()
    } catch (error: IllegalStateException) {
        // MediaCodec's own exception is one, too; a cancelled coroutine's as well.
        currentCoroutineContext().ensureActive()
        throw SphereEdgeException(Status.MODEL_CORRUPT, "`$uri` cannot be decoded", cause = error)
    } finally {
        codec.release()
    }
}

/** One run through a file with a decoder that has been started. */
private class Decoding(private val extractor: MediaExtractor, private val codec: MediaCodec) {
    private val made = Samples()
    private val about = MediaCodec.BufferInfo()
    private var format: SoundFormat? = null
    private var resampler: Resampler? = null

    suspend fun samples(): FloatArray {
        var isFed = false
        while (about.flags and MediaCodec.BUFFER_FLAG_END_OF_STREAM == 0) {
            currentCoroutineContext().ensureActive()
            if (!isFed) isFed = feed()
            val index = codec.dequeueOutputBuffer(about, WAIT_US)
            if (index == MediaCodec.INFO_OUTPUT_FORMAT_CHANGED) use(codec.outputFormat)
            if (index >= 0) take(index)
        }
        resampler?.let { made += it.finish() }
        return made.all()
    }

    /** Gives the decoder a piece of the file if it has room; whether that was the last. */
    private fun feed(): Boolean {
        val index = codec.dequeueInputBuffer(WAIT_US)
        if (index < 0) return false
        val size = extractor.readSampleData(checkNotNull(codec.getInputBuffer(index)), 0)
        if (size < 0) {
            codec.queueInputBuffer(index, 0, 0, 0, MediaCodec.BUFFER_FLAG_END_OF_STREAM)
            return true
        }
        codec.queueInputBuffer(index, 0, size, extractor.sampleTime, 0)
        extractor.advance()
        return false
    }

    /** The decoder says what comes from here on. */
    private fun use(output: MediaFormat) {
        val encoding = if (output.containsKey(MediaFormat.KEY_PCM_ENCODING)) output.getInteger(MediaFormat.KEY_PCM_ENCODING) else AudioFormat.ENCODING_PCM_16BIT
        val next = SoundFormat(
            output.getInteger(MediaFormat.KEY_SAMPLE_RATE),
            output.getInteger(MediaFormat.KEY_CHANNEL_COUNT),
            isFloat = encoding == AudioFormat.ENCODING_PCM_FLOAT,
        )
        val isPcm = encoding == AudioFormat.ENCODING_PCM_16BIT || encoding == AudioFormat.ENCODING_PCM_FLOAT
        if (!isPcm || !next.isKnown) throw SphereEdgeException(Status.UNSUPPORTED, "decoded sound of encoding `$encoding`, ${next.channels} channels at ${next.rate} Hz")
        if (next.rate != format?.rate) {
            resampler?.let { made += it.finish() }
            resampler = Resampler(next.rate)
        }
        format = next
    }

    private fun take(index: Int) {
        val output = checkNotNull(codec.getOutputBuffer(index))
        if (about.size > 0) {
            if (format == null) use(codec.outputFormat)
            output.position(about.offset)
            output.limit(about.offset + about.size)
            made += checkNotNull(resampler).push(mono(output.order(ByteOrder.nativeOrder()), checkNotNull(format)))
        }
        codec.releaseOutputBuffer(index, false)
    }
}
