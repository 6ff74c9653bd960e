// Giving memory back does not hold up the thread on which Android asks for it.
package dev.sphereedge.android

import android.content.ComponentCallbacks2
import dev.sphereedge.Fit
import java.util.concurrent.CountDownLatch
import java.util.concurrent.Semaphore
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test

class ReleaseTest {
    @Test
    fun `closing happens elsewhere, once at a time`() {
        val held = CountDownLatch(1)
        val begun = Semaphore(0)
        val runs = AtomicInteger()
        val release = ReleaseInBackground {
            runs.incrementAndGet()
            begun.release()
            held.await()
        }
        release.onTrimMemory(ComponentCallbacks2.TRIM_MEMORY_UI_HIDDEN)
        release.onTrimMemory(ComponentCallbacks2.TRIM_MEMORY_BACKGROUND)
        // Here already, though it cannot end.
        assertTrue(begun.tryAcquire(30, TimeUnit.SECONDS))
        release.onTrimMemory(80)
        assertFalse(begun.tryAcquire(50, TimeUnit.MILLISECONDS))
        assertEquals(1, runs.get())
        held.countDown()
        while (runs.get() == 1) {
            release.onTrimMemory(ComponentCallbacks2.TRIM_MEMORY_BACKGROUND)
            Thread.sleep(1)
        }
        assertEquals(2, runs.get())
    }

    @Test
    fun `what is needed is compared with what is there`() {
        assertTrue(Fit(neededBytes = 10, availableBytes = 10).fits)
        assertFalse(Fit(neededBytes = 11, availableBytes = 10).fits)
    }
}
