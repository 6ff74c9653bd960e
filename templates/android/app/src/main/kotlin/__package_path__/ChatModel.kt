// The chat's messages and the model that answers them; lives on when the screen is turned.
package {{ package }}

import android.app.Application
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateListOf
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.setValue
import androidx.lifecycle.viewModelScope
import dev.sphereedge.Message
import dev.sphereedge.SphereEdgeException
import dev.sphereedge.TextDelta
import dev.sphereedge.TextManager
import dev.sphereedge.DeltaKind
import dev.sphereedge.TextOpenOptions
import dev.sphereedge.TextRequest
import dev.sphereedge.TextResult
import dev.sphereedge.android.ReleaseInBackground
import kotlinx.coroutines.Job
import kotlinx.coroutines.launch
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock

class Entry(val fromUser: Boolean, val text: String)

class ChatModel(application: Application) : Models(application) {
    val entries = mutableStateListOf<Entry>()

    /** What was measured at the last answer. */
    var figures by mutableStateOf("")
        private set
    var isRunning by mutableStateOf(false)
        private set

    private var manager: TextManager? = null
    private var running: Job? = null
    private val opening = Mutex()
    private val memory = ReleaseInBackground { release() }

    init {
        application.registerComponentCallbacks(memory)
        viewModelScope.launch { guarded { opened() } }
    }

    fun send(text: String) {
        if (text.isBlank() || isRunning) return
        entries += Entry(fromUser = true, text)
        answer()
    }

    /** Ends the answer; what has come of it stays. */
    fun stop() {
        running?.cancel()
    }

    /** Answers the last question again. */
    fun regenerate() {
        if (isRunning) return
        if (entries.lastOrNull()?.fromUser == false) entries.removeAt(entries.lastIndex)
        if (entries.isNotEmpty()) answer()
    }

    fun clear() {
        stop()
        entries.clear()
    }

    /** Measures [tokens] tokens after a fixed prompt. */
    fun measure(tokens: Int) = start {
        val request = TextRequest(maxTokens = tokens, temperature = 0f, ignoreEndOfText = true)
        opened().generate("The history of the world begins", request).collect { event ->
            if (event is TextResult) figures = figuresOf(event)
        }
    }

    private fun answer() = start {
        val messages = entries.map { if (it.fromUser) Message.user(it.text) else Message.assistant(it.text) }
        val model = opened()
        val place = entries.size
        entries += Entry(fromUser = false, "")
        model.chat(messages, TextRequest(maxTokens = 1024)).collect { event ->
            if (event is TextDelta && event.kind == DeltaKind.TEXT && place < entries.size) {
                entries[place] = Entry(fromUser = false, entries[place].text + event.text)
            }
            if (event is TextResult) figures = figuresOf(event)
        }
    }

    private fun start(task: suspend () -> Unit) {
        if (isRunning) return
        isRunning = true
        running = viewModelScope.launch {
            try {
                guarded(task)
            } finally {
                isRunning = false
            }
        }
    }

    private suspend fun guarded(task: suspend () -> Unit) {
        try {
            task()
        } catch (error: SphereEdgeException) {
            waiting = listOfNotNull(error.message, error.hint).joinToString("\n")
        }
    }

    private suspend fun opened(): TextManager = opening.withLock {
        manager ?: TextManager.open(installed(BUNDLE), TextOpenOptions(codeFolder = codeFolder(BUNDLE))).also {
            manager = it
            waiting = null
        }
    }

    private fun figuresOf(result: TextResult): String {
        val speed = if (result.decodeSeconds > 0) (result.completionTokens - 1) / result.decodeSeconds else 0.0
        return "%s: first token after %.2f s, %.1f tokens/s, %d + %d tokens".format(
            result.backend, result.firstTokenSeconds, speed, result.promptTokens, result.completionTokens,
        )
    }

    /** Frees the memory; the next question opens the model again. */
    private fun release() {
        running?.cancel()
        manager?.close()
        manager = null
    }

    override fun onCleared() {
        getApplication<Application>().unregisterComponentCallbacks(memory)
        release()
    }

    private companion object {
        const val BUNDLE = "{{ text }}"
    }
}
