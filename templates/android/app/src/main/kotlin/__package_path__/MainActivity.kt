// The app's only window: one tab for each of its bundles.
package {{ package }}

import android.os.Bundle
import androidx.activity.ComponentActivity
import androidx.activity.compose.setContent
import androidx.activity.viewModels
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.safeDrawingPadding
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Surface
import androidx.compose.material3.Text
import androidx.compose.material3.TextButton
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.remember
import androidx.compose.runtime.setValue
import androidx.compose.ui.Modifier

class MainActivity : ComponentActivity() {
{% if text %}
    private val chat: ChatModel by viewModels()
{% endif %}
{% if audio %}
    private val transcription: TranscribeModel by viewModels()
{% endif %}
{% if image %}
    private val image: ImageModel by viewModels()
{% endif %}

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContent {
            MaterialTheme {
                Surface {
                    Column(Modifier.safeDrawingPadding()) {
                        var tab by remember { mutableStateOf("{{ tabs[0] }}") }
                        Row {
                            for (name in listOf({% for tab in tabs %}"{{ tab }}"{{ ", " if not loop.last }}{% endfor %})) {
                                TextButton(onClick = { tab = name }, enabled = tab != name) { Text(name) }
                            }
                        }
                        when (tab) {
{% if text %}
                            "Chat" -> ChatScreen(chat)
                            "Bench" -> BenchScreen(chat)
{% endif %}
{% if audio %}
                            "Transcribe" -> TranscribeScreen(transcription)
{% endif %}
{% if image %}
                            "Image" -> ImageScreen(image)
{% endif %}
                        }
                    }
                }
            }
        }
    }
}
