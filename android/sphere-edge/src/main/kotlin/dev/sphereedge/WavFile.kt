// Wav files as samples for AudioManager; on Android `readAudio` reads others as well.
package dev.sphereedge

import dev.sphereedge.internal.Resampler
import dev.sphereedge.internal.SoundFormat
import dev.sphereedge.internal.mono
import java.io.DataInputStream
import java.io.EOFException
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Reads wav files of 16-bit integers or 32-bit floats, of any rate and number of channels. */
public object WavFile {
    private const val PCM = 1
    private const val FLOAT = 3
    private const val EXTENSIBLE = 0xFFFE

    // More than four hours at 16 kHz in stereo floats.
    private const val MOST_BYTES = 2_000_000_000L

    private class Format(val code: Int, val channels: Int, val rate: Int, val bits: Int)

    /** Mono samples at 16 kHz. Throws NOT_FOUND, UNSUPPORTED (another format), MODEL_CORRUPT (cut off). */
    public fun read(file: File): FloatArray {
        try {
            file.inputStream().buffered().use { return samples(DataInputStream(it), file) }
        } catch (error: FileNotFoundException) {
            throw SphereEdgeException(Status.NOT_FOUND, "no file `${file.path}`", cause = error)
        } catch (error: EOFException) {
            throw SphereEdgeException(Status.MODEL_CORRUPT, "`${file.path}` is cut off", cause = error)
        } catch (error: IOException) {
            throw SphereEdgeException(Status.STORAGE, "cannot read `${file.path}`", cause = error)
        }
    }

    private fun samples(input: DataInputStream, file: File): FloatArray {
        if (tag(input) != "RIFF") throw unsupported(file, "it does not begin with `RIFF`")
        number(input)
        if (tag(input) != "WAVE") throw unsupported(file, "it is RIFF, but not `WAVE`")
        var format: Format? = null
        while (true) {
            val name = tag(input)
            val size = number(input)
            if (name == "data") return mono(input, size, format ?: throw unsupported(file, "its format is missing"), file)
            // Chunks begin at even places.
            val padded = size + (size and 1)
            if (name == "fmt " && size in 16..1024) {
                format = format(block(input, padded.toInt()))
            } else {
                skip(input, padded)
            }
        }
    }

    private fun format(from: ByteBuffer): Format {
        val code = from.getShort(0).toInt() and 0xFFFF
        // The real one is the beginning of an identifier further on.
        val real = if (code == EXTENSIBLE && from.capacity() >= 26) from.getShort(24).toInt() and 0xFFFF else code
        return Format(real, from.getShort(2).toInt() and 0xFFFF, from.getInt(4), from.getShort(14).toInt() and 0xFFFF)
    }

    private fun mono(input: DataInputStream, size: Long, format: Format, file: File): FloatArray {
        val isFloat = format.code == FLOAT && format.bits == 32
        val sound = SoundFormat(format.rate, format.channels, isFloat)
        if (!(isFloat || format.code == PCM && format.bits == 16) || !sound.isKnown) {
            throw unsupported(file, "format ${format.code} of ${format.bits} bits, ${format.channels} channels at ${format.rate} Hz")
        }
        // Before the memory is taken.
        if (size > file.length()) throw EOFException()
        if (size > MOST_BYTES) throw unsupported(file, "its samples have `$size` bytes")
        val resampler = Resampler(format.rate)
        return resampler.push(mono(block(input, size.toInt()), sound)) + resampler.finish()
    }

    private fun tag(input: DataInputStream) = ByteArray(4).also(input::readFully).toString(Charsets.ISO_8859_1)

    private fun number(input: DataInputStream): Long = block(input, 4).getInt(0).toLong() and 0xFFFFFFFFL

    private fun block(input: DataInputStream, size: Int) =
        ByteBuffer.wrap(ByteArray(size).also(input::readFully)).order(ByteOrder.LITTLE_ENDIAN)

    private fun skip(input: DataInputStream, count: Long) {
        var left = count
        while (left > 0) {
            val skipped = input.skip(left)
            if (skipped <= 0) throw EOFException()
            left -= skipped
        }
    }

    private fun unsupported(file: File, why: String) =
        SphereEdgeException(Status.UNSUPPORTED, "`${file.path}` is not a readable wav file: $why")
}
