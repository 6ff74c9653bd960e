// Images from prompts, with their progress.
package {{ package }}

import android.app.Application
import android.graphics.Bitmap
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.setValue
import androidx.compose.ui.graphics.ImageBitmap
import androidx.compose.ui.graphics.asImageBitmap
import androidx.lifecycle.viewModelScope
import dev.sphereedge.GeneratedImage
import dev.sphereedge.ImageManager
import dev.sphereedge.ImageProgress
import dev.sphereedge.ImageResult
import dev.sphereedge.SphereEdgeException
import kotlinx.coroutines.Job
import kotlinx.coroutines.launch
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock

class ImageModel(application: Application) : Models(application) {
    var image: ImageBitmap? by mutableStateOf(null)
        private set
    var isRunning by mutableStateOf(false)
        private set

    private var manager: ImageManager? = null
    private var running: Job? = null
    private val opening = Mutex()

    init {
        viewModelScope.launch { guarded { opened() } }
    }

    fun generate(prompt: String) {
        if (isRunning || prompt.isBlank()) return
        isRunning = true
        running = viewModelScope.launch {
            try {
                guarded {
                    opened().generate(prompt).collect { event ->
                        when (event) {
                            is ImageProgress -> waiting = "step ${event.step} of ${event.steps}"
                            is GeneratedImage -> image = shown(event)
                            is ImageResult -> waiting = "%.1f s, seed %d".format(event.totalSeconds, event.seed)
                        }
                    }
                }
            } finally {
                isRunning = false
            }
        }
    }

    fun stop() {
        running?.cancel()
    }

    private fun shown(made: GeneratedImage): ImageBitmap {
        val pixels = made.pixels
        return Bitmap.createBitmap(pixels.argb(), pixels.width, pixels.height, Bitmap.Config.ARGB_8888).asImageBitmap()
    }

    private suspend fun guarded(task: suspend () -> Unit) {
        try {
            task()
        } catch (error: SphereEdgeException) {
            waiting = listOfNotNull(error.message, error.hint).joinToString("\n")
        }
    }

    private suspend fun opened(): ImageManager = opening.withLock {
        manager ?: ImageManager.open(installed(BUNDLE)).also {
            manager = it
            waiting = null
        }
    }

    override fun onCleared() {
        running?.cancel()
        manager?.close()
    }

    private companion object {
        const val BUNDLE = "{{ image }}"
    }
}
