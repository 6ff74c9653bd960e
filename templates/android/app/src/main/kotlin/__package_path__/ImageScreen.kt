// A prompt and the image that comes of it.
package {{ package }}

import androidx.compose.foundation.Image
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.material3.Button
import androidx.compose.material3.MaterialTheme
import androidx.compose.material3.OutlinedTextField
import androidx.compose.material3.Text
import androidx.compose.runtime.Composable
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.remember
import androidx.compose.runtime.setValue
import androidx.compose.ui.Modifier
import androidx.compose.ui.unit.dp

@Composable
fun ImageScreen(model: ImageModel) {
    var prompt by remember { mutableStateOf("") }
    Column(Modifier.padding(16.dp)) {
        OutlinedTextField(prompt, { prompt = it }, Modifier.fillMaxWidth())
        if (model.isRunning) {
            Button(onClick = { model.stop() }) { Text("Stop") }
        } else {
            Button(onClick = { model.generate(prompt) }) { Text("Generate") }
        }
        model.waiting?.let { Text(it, style = MaterialTheme.typography.bodySmall) }
        model.image?.let { Image(it, contentDescription = prompt, modifier = Modifier.fillMaxWidth()) }
    }
}
