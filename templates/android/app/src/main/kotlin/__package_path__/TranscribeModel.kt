// What is heard, from a file or the microphone, as text.
package {{ package }}

import android.app.Application
import android.net.Uri
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateListOf
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.setValue
import androidx.lifecycle.viewModelScope
import dev.sphereedge.AudioManager
import dev.sphereedge.Segment
import dev.sphereedge.SphereEdgeException
import java.io.File
import java.io.FileNotFoundException
import java.io.IOException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.launch
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext

class TranscribeModel(application: Application) : Models(application) {
    /** The finished segments, and the one that may still change. */
    val lines = mutableStateListOf<String>()
    var unfinished by mutableStateOf("")
        private set
    var isRunning by mutableStateOf(false)
        private set

    private val resolver = application.contentResolver
    private val copy = File(application.cacheDir, "audio.wav")
    private var manager: AudioManager? = null
    private var running: Job? = null
    private val opening = Mutex()

    init {
        viewModelScope.launch { guarded { opened() } }
    }

    /** A wav file that the user chose. */
    fun transcribe(file: Uri) = start {
        withContext(Dispatchers.IO) {
            val stream = resolver.openInputStream(file) ?: throw FileNotFoundException(file.toString())
            stream.use { input -> copy.outputStream().use { input.copyTo(it) } }
        }
        opened().transcribe(copy).collect { event -> if (event is Segment) lines += event.text }
    }

    /** The microphone, until [stop]; the permission to record has been given. */
    fun transcribeLive() = start {
        opened().transcribeLive(microphone()).collect { live ->
            unfinished = if (live.isFinal) "" else live.segment.text
            if (live.isFinal) lines += live.segment.text
        }
    }

    fun stop() {
        running?.cancel()
    }

    private fun start(task: suspend () -> Unit) {
        if (isRunning) return
        isRunning = true
        lines.clear()
        running = viewModelScope.launch {
            try {
                guarded(task)
            } finally {
                isRunning = false
                unfinished = ""
            }
        }
    }

    private suspend fun guarded(task: suspend () -> Unit) {
        try {
            task()
        } catch (error: SphereEdgeException) {
            waiting = listOfNotNull(error.message, error.hint).joinToString("\n")
        } catch (error: IOException) {
            waiting = "the file cannot be read: ${error.message}"
        }
    }

    private suspend fun opened(): AudioManager = opening.withLock {
        manager ?: AudioManager.open(installed(BUNDLE)).also {
            manager = it
            waiting = null
        }
    }

    override fun onCleared() {
        running?.cancel()
        manager?.close()
    }

    private companion object {
        const val BUNDLE = "{{ audio }}"
    }
}
