// Images from prompts, with their progress.
package {{ package }}

import android.app.Application
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.setValue
import androidx.compose.ui.graphics.ImageBitmap
import androidx.compose.ui.graphics.asImageBitmap
import dev.sphereedge.GeneratedImage
import dev.sphereedge.ImageManager
import dev.sphereedge.ImageProgress
import dev.sphereedge.ImageResult
import dev.sphereedge.android.toBitmap

class ImageModel(application: Application) :
    OpenedModel<ImageManager>(application, "{{ image }}", { ImageManager.open(it.bundle) }) {
    var image: ImageBitmap? by mutableStateOf(null)
        private set

    fun generate(prompt: String) {
        if (prompt.isBlank()) return
        start { model ->
            model.generate(prompt).collect { event ->
                when (event) {
                    is ImageProgress -> waiting = "step ${event.step} of ${event.steps}"
                    is GeneratedImage -> image = event.pixels.toBitmap().asImageBitmap()
                    is ImageResult -> waiting = "%.1f s, seed %d".format(event.totalSeconds, event.seed)
                }
            }
        }
    }
}
