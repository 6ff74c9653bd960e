// Sound of any rate and number of channels as mono samples at 16 kHz, block by block.
package dev.sphereedge.internal

import dev.sphereedge.AudioManager
import java.nio.ByteBuffer

/** How sound is encoded: 16-bit integers, or 32-bit floats where [isFloat]; [rate] in Hz. */
internal data class SoundFormat(val rate: Int, val channels: Int, val isFloat: Boolean) {
    val frameBytes: Int get() = channels * (if (isFloat) 4 else 2)

    val isKnown: Boolean get() = channels in 1..64 && rate in 1000..768_000
}

/** The mean of the channels of each whole frame of [from], in its byte order. */
internal fun mono(from: ByteBuffer, format: SoundFormat): FloatArray {
    val read: (Int) -> Float = if (format.isFloat) from::getFloat else { at -> from.getShort(at) / 32768f }
    val begin = from.position()
    val channelBytes = format.frameBytes / format.channels
    return FloatArray(from.remaining() / format.frameBytes) { at ->
        var sum = 0f
        for (channel in 0 until format.channels) sum += read(begin + at * format.frameBytes + channel * channelBytes)
        sum / format.channels
    }
}

/**
 * Samples of [rate] Hz at 16 kHz: each is the mean of what it covers, or lies on the line between its neighbours. Any
 * division into blocks gives the same samples.
 */
internal class Resampler(private val rate: Int) {
    private val step = rate.toDouble() / AudioManager.SAMPLE_RATE
    private var made = 0L

    // Samples that are still needed, and the number of the first of them.
    private var kept = FloatArray(0)
    private var keptFrom = 0L

    /** What is complete after these samples, too. */
    fun push(block: FloatArray): FloatArray {
        if (rate == AudioManager.SAMPLE_RATE) return block
        kept += block
        val end = keptFrom + kept.size
        // A mean needs all that it covers, a line its second point.
        return taken((if (step > 1) end / step else (end - 1) / step).toLong())
    }

    /** The samples whose second point is the last one of the sound. */
    fun finish(): FloatArray {
        if (rate == AudioManager.SAMPLE_RATE) return FloatArray(0)
        return taken(((keptFrom + kept.size) / step).toLong())
    }

    /** The samples that are not made yet of the first [count]. */
    private fun taken(count: Long): FloatArray {
        val samples = FloatArray(maxOf(count - made, 0).toInt()) { sample(made + it) }
        made += samples.size
        val from = minOf((made * step).toLong(), keptFrom + kept.size)
        kept = kept.copyOfRange((from - keptFrom).toInt(), kept.size)
        keptFrom = from
        return samples
    }

    private fun sample(number: Long): Float {
        val at = number * step
        val from = at.toLong()
        if (step <= 1) {
            val part = (at - from).toFloat()
            return one(from) * (1 - part) + one(from + 1) * part
        }
        val to = minOf(maxOf(((number + 1) * step).toLong(), from + 1), keptFrom + kept.size)
        var sum = 0f
        for (place in from until to) sum += one(place)
        return sum / (to - from)
    }

    /** The last one goes on. */
    private fun one(place: Long) = kept[minOf((place - keptFrom).toInt(), kept.size - 1)]
}

/** A sound that grows. */
internal class Samples {
    private val blocks = ArrayList<FloatArray>()

    /** Samples so far. */
    var size: Long = 0
        private set

    operator fun plusAssign(block: FloatArray) {
        blocks += block
        size += block.size
    }

    fun all(): FloatArray {
        val all = FloatArray(Math.toIntExact(size))
        var at = 0
        for (block in blocks) {
            block.copyInto(all, at)
            at += block.size
        }
        return all
    }
}
