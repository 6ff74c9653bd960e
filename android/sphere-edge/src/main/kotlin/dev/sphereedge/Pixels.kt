// Images as bytes, as models take and make them.
package dev.sphereedge

import dev.sphereedge.internal.invalid

/** Rows from the top, without gaps: [channels] bytes per pixel, 3 for RGB, 1 for a mask. */
public class Pixels(public val width: Int, public val height: Int, public val channels: Int, public val bytes: ByteArray) {
    init {
        if (width < 1 || height < 1 || channels !in 1..4 || bytes.size.toLong() != width.toLong() * height * channels) {
            throw invalid("`${bytes.size}` bytes are not $width x $height pixels of $channels")
        }
    }

    /** One number per pixel, opaque: what `Bitmap.createBitmap` takes. */
    public fun argb(): IntArray = IntArray(width * height) { at ->
        fun part(channel: Int) = bytes[at * channels + minOf(channel, channels - 1)].toInt() and 0xFF
        0xFF shl 24 or (part(0) shl 16) or (part(1) shl 8) or part(2)
    }

    public companion object {
        /** RGB of [argb], one number per pixel as `Bitmap.getPixels` gives them; what is transparent is put on white. */
        public fun ofArgb(argb: IntArray, width: Int, height: Int): Pixels {
            if (width < 1 || height < 1 || argb.size.toLong() != width.toLong() * height || argb.size > Int.MAX_VALUE / 3) {
                throw invalid("`${argb.size}` numbers are not $width x $height pixels")
            }
            val bytes = ByteArray(argb.size * 3)
            for ((at, colour) in argb.withIndex()) {
                val alpha = colour ushr 24
                for (channel in 0..2) {
                    val part = colour shr (16 - 8 * channel) and 0xFF
                    bytes[at * 3 + channel] = ((part * alpha + 255 * (255 - alpha) + 127) / 255).toByte()
                }
            }
            return Pixels(width, height, 3, bytes)
        }
    }
}
