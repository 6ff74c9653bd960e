// The chat: messages, a field for the next one, stop and regenerate.
package {{ package }}

import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.lazy.LazyColumn
import androidx.compose.material3.Button
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.OutlinedTextField
import androidx.compose.material3.Text
import androidx.compose.material3.TextButton
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.remember
import androidx.compose.runtime.setValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.unit.dp

@Composable
fun ChatScreen(model: ChatModel) {
    var draft by remember { mutableStateOf("") }
    Column(Modifier.padding(16.dp)) {
        LazyColumn(Modifier.weight(1f).fillMaxWidth()) {
            items(model.entries.size) { index -> EntryView(model.entries[index]) }
        }
        Text(model.waiting ?: model.figures, style = MaterialTheme.typography.bodySmall)
        OutlinedTextField(draft, { draft = it }, Modifier.fillMaxWidth())
        Row {
            if (model.isRunning) {
                Button(onClick = { model.stop() }) { Text("Stop") }
            } else {
                Button(onClick = { model.send(draft); draft = "" }) { Text("Send") }
                TextButton(onClick = { model.regenerate() }, enabled = model.entries.isNotEmpty()) { Text("Regenerate") }
                TextButton(onClick = { model.clear() }) { Text("Clear") }
            }
        }
    }
}

@Composable
private fun EntryView(entry: Entry) {
    Column(Modifier.padding(8.dp)) {
        Text(if (entry.fromUser) "You" else "Model", style = MaterialTheme.typography.bodySmall)
        Text(markdown(entry.text))
    }
}

/** What the model does on this phone, in figures. */
@Composable
fun BenchScreen(model: ChatModel) {
    Column(Modifier.padding(16.dp)) {
        Button(onClick = { model.measure(64) }, enabled = !model.isRunning) { Text("Generate 64 tokens") }
        Text(model.waiting ?: model.figures)
    }
}
