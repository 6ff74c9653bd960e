// What is said, from a file or the microphone, as text.
package {{ package }}

import android.app.Application
import android.net.Uri
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateListOf
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.setValue
import dev.sphereedge.AudioManager
import dev.sphereedge.Segment
import dev.sphereedge.android.readAudio
import java.io.IOException

class TranscribeModel(application: Application) :
    OpenedModel<AudioManager>(application, "{{ audio }}", { AudioManager.open(it.bundle) }) {
    /** The finished segments, and the one that may still change. */
    val lines = mutableStateListOf<String>()
    var unfinished by mutableStateOf("")
        private set

    /** A sound file or a video that the user chose. */
    fun transcribe(file: Uri) = transcribed { model ->
        val samples = getApplication<Application>().readAudio(file)
        model.transcribe(samples).collect { event -> if (event is Segment) lines += event.text }
    }

    /** The microphone, until [stop]; the permission to record has been given. */
    fun transcribeLive() = transcribed { model ->
        try {
            model.transcribeLive(microphone()).collect { live ->
                unfinished = if (live.isFinal) "" else live.segment.text
                if (live.isFinal) lines += live.segment.text
            }
        } catch (error: IOException) {
            waiting = error.message
        }
    }

    private fun transcribed(task: suspend (AudioManager) -> Unit) = start { model ->
        lines.clear()
        try {
            task(model)
        } finally {
            unfinished = ""
        }
    }
}
