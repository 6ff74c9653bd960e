// Sound of any rate at 16 kHz, whole or in blocks.
package dev.sphereedge

import dev.sphereedge.internal.Resampler
import dev.sphereedge.internal.Samples
import dev.sphereedge.internal.SoundFormat
import dev.sphereedge.internal.mono
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.PI
import kotlin.math.abs
import kotlin.math.sin
import kotlin.random.Random
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

class SamplesTest {
    private fun resampled(sound: FloatArray, rate: Int, block: () -> Int): FloatArray {
        val resampler = Resampler(rate)
        val made = Samples()
        var at = 0
        while (at < sound.size) {
            val end = minOf(at + block(), sound.size)
            made += resampler.push(sound.copyOfRange(at, end))
            at = end
        }
        made += resampler.finish()
        return made.all()
    }

    @Test
    fun `blocks of any length give the same samples as the whole`() {
        val random = Random(5)
        val sound = FloatArray(20_011) { random.nextFloat() - 0.5f }
        for (rate in listOf(8000, 11_025, 16_000, 22_050, 44_100, 48_000, 768_000)) {
            val whole = resampled(sound, rate) { sound.size }
            assertEquals((sound.size * 16_000L / rate).toInt(), whole.size)
            assertArrayEquals("$rate", whole, resampled(sound, rate) { 1 + random.nextInt(700) }, 0f)
            assertArrayEquals("$rate", whole, resampled(sound, rate) { 1 }, 0f)
        }
    }

    @Test
    fun `a tone stays the same tone`() {
        for (rate in listOf(8000, 44_100, 48_000)) {
            fun tone(samples: Int, at: Int) = FloatArray(samples) { sin(2 * PI * 200 * it / at).toFloat() }
            val made = resampled(tone(rate, rate), rate) { 1000 }
            val furthest = made.zip(tone(16_000, 16_000)).maxOf { (a, b) -> abs(a - b) }
            // A mean comes half of what it covers late.
            assertTrue("$rate: $furthest", furthest < 0.1)
        }
    }

    @Test
    fun `channels become one`() {
        val bytes = ByteBuffer.allocate(12).order(ByteOrder.LITTLE_ENDIAN)
        bytes.put(7).putShort(16384).putShort(0).putShort(-32768).putShort(-32768).putShort(1).put(0)
        bytes.position(1)
        // The last frame is not whole.
        assertArrayEquals(floatArrayOf(0.25f, -1f), mono(bytes, SoundFormat(16_000, 2, isFloat = false)), 0f)
        val floats = ByteBuffer.allocate(12).putFloat(0.5f).putFloat(-0.25f).putFloat(1f)
        floats.flip()
        assertArrayEquals(floatArrayOf(0.5f, -0.25f, 1f), mono(floats, SoundFormat(16_000, 1, isFloat = true)), 0f)
    }
}
