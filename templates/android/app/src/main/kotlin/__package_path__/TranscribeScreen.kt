// Speech to text: a file or the microphone.
package {{ package }}

import android.Manifest
import androidx.activity.compose.rememberLauncherForActivityResult
import androidx.activity.result.contract.ActivityResultContracts
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.lazy.LazyColumn
import androidx.compose.material3.Button
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.ui.Modifier
import androidx.compose.ui.unit.dp

@Composable
fun TranscribeScreen(model: TranscribeModel) {
    val file = rememberLauncherForActivityResult(ActivityResultContracts.GetContent()) { chosen ->
        if (chosen != null) model.transcribe(chosen)
    }
    val permission = rememberLauncherForActivityResult(ActivityResultContracts.RequestPermission()) { granted ->
        if (granted) model.transcribeLive()
    }
    Column(Modifier.padding(16.dp)) {
        Row {
            if (model.isRunning) {
                Button(onClick = { model.stop() }) { Text("Stop") }
            } else {
                Button(onClick = { file.launch("audio/*") }) { Text("Sound file") }
                Button(onClick = { permission.launch(Manifest.permission.RECORD_AUDIO) }) { Text("Microphone") }
            }
        }
        model.waiting?.let { Text(it, style = MaterialTheme.typography.bodySmall) }
        LazyColumn(Modifier.weight(1f).fillMaxWidth()) {
            items(model.lines.size) { index -> Text(model.lines[index]) }
        }
        Text(model.unfinished)
    }
}
