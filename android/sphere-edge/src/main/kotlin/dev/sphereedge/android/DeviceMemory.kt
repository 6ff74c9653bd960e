// What Android says about memory: whether a model fits, and when to give it back.
package dev.sphereedge.android

import android.app.ActivityManager
import android.content.ComponentCallbacks2
import android.content.Context
import android.content.res.Configuration
import dev.sphereedge.peakBytes
import java.io.File

/**
 * Whether the bundle at [path] fits into what is free now, with what Android itself wants to keep. A model that does not
 * fit may still be opened; the system then ends this app or others.
 */
public fun Context.fits(path: File): Boolean {
    val memory = ActivityManager.MemoryInfo()
    val manager = getSystemService(ActivityManager::class.java) ?: return true
    manager.getMemoryInfo(memory)
    return peakBytes(path) <= memory.availMem - memory.threshold
}

/**
 * Calls [release] when the app is in the background and the system looks for memory: the place to close managers, which
 * are opened again when the user comes back. Mapped weights alone need not go: the system takes and rereads their pages.
 *
 * Since Android 14 only UI_HIDDEN and BACKGROUND arrive; hiding the app alone releases nothing.
 */
public class ReleaseInBackground(private val release: () -> Unit) : ComponentCallbacks2 {
    override fun onTrimMemory(level: Int) {
        if (level >= ComponentCallbacks2.TRIM_MEMORY_BACKGROUND) release()
    }

    override fun onConfigurationChanged(newConfig: Configuration): Unit = Unit

    @Deprecated("as in ComponentCallbacks")
    override fun onLowMemory(): Unit = release()
}
