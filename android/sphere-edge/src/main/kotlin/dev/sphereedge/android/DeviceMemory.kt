// What Android says about memory: whether a model fits, and when to give it back.
package dev.sphereedge.android

import android.app.ActivityManager
import android.content.ComponentCallbacks2
import android.content.Context
import android.content.res.Configuration
import dev.sphereedge.Fit
import dev.sphereedge.peakBytes
import java.io.File
import java.util.concurrent.atomic.AtomicBoolean
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.launch

/**
 * What the bundle at [path] needs, and what is free now beyond what Android itself wants to keep. A model that does not
 * fit may still be opened; the system then ends this app or others. Throws NOT_FOUND, MODEL_CORRUPT.
 */
public fun Context.fits(path: File): Fit {
    val memory = ActivityManager.MemoryInfo()
    checkNotNull(getSystemService(ActivityManager::class.java)) { "Android without its ActivityManager" }.getMemoryInfo(memory)
    return Fit(peakBytes(path), maxOf(memory.availMem - memory.threshold, 0))
}

/**
 * Calls [release] when the app is in the background and the system looks for memory: the place to close managers, which
 * are opened again when the user comes back. Mapped weights alone need not go: the system takes and rereads their pages.
 *
 * [release] runs on another thread, because closing waits for what the model computes, and not again before it has ended.
 * Since Android 14 only UI_HIDDEN and BACKGROUND arrive; hiding the app alone releases nothing.
 */
public class ReleaseInBackground(private val release: suspend () -> Unit) : ComponentCallbacks2 {
    private val isReleasing = AtomicBoolean()

    override fun onTrimMemory(level: Int) {
        if (level >= ComponentCallbacks2.TRIM_MEMORY_BACKGROUND) start()
    }

    override fun onConfigurationChanged(newConfig: Configuration): Unit = Unit

    @Deprecated("as in ComponentCallbacks")
    override fun onLowMemory(): Unit = start()

    private fun start() {
        if (!isReleasing.compareAndSet(false, true)) return
        CoroutineScope(Dispatchers.IO).launch {
            try {
                release()
            } finally {
                isReleasing.set(false)
            }
        }
    }
}
