// The chat's messages, and the model that answers them.
package {{ package }}

import android.app.Application
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateListOf
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.setValue
import dev.sphereedge.DeltaKind
import dev.sphereedge.Message
import dev.sphereedge.TextDelta
import dev.sphereedge.TextManager
import dev.sphereedge.TextOpenOptions
import dev.sphereedge.TextRequest
import dev.sphereedge.TextResult

class Entry(val fromUser: Boolean, val text: String)

class ChatModel(application: Application) : OpenedModel<TextManager>(
    application,
    "{{ text }}",
    { from -> TextManager.open(from.bundle, TextOpenOptions(codeFolder = from.code, cacheFolder = from.cache)) },
) {
    val entries = mutableStateListOf<Entry>()

    /** What was measured at the last answer. */
    var figures by mutableStateOf("")
        private set

    fun send(text: String) {
        if (text.isBlank() || isRunning) return
        entries += Entry(fromUser = true, text)
        answer()
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
    fun measure(tokens: Int) = start { model ->
        val request = TextRequest(maxTokens = tokens, temperature = 0f, ignoreEndOfText = true)
        model.generate("The history of the world begins", request).collect { event ->
            if (event is TextResult) figures = figuresOf(event)
        }
    }

    private fun answer() = start { model ->
        val messages = entries.map { if (it.fromUser) Message.user(it.text) else Message.assistant(it.text) }
        val index = entries.size
        entries += Entry(fromUser = false, "")
        try {
            model.chat(messages, TextRequest(maxTokens = 1024)).collect { event ->
                if (event is TextDelta && event.kind == DeltaKind.TEXT && index < entries.size) {
                    entries[index] = Entry(fromUser = false, entries[index].text + event.text)
                }
                if (event is TextResult) figures = figuresOf(event)
            }
        } finally {
            // Nothing came: the model has not said anything.
            if (entries.getOrNull(index)?.text == "") entries.removeAt(index)
        }
    }

    private fun figuresOf(result: TextResult): String {
        val speed = if (result.decodeSeconds > 0) (result.completionTokens - 1) / result.decodeSeconds else 0.0
        return "%s: first token after %.2f s, %.1f tokens/s, %d + %d tokens".format(
            result.backend, result.firstTokenSeconds, speed, result.promptTokens, result.completionTokens,
        )
    }
}
