// The microphone as blocks of samples at 16 kHz.
package {{ package }}

import android.annotation.SuppressLint
import android.media.AudioFormat
import android.media.AudioRecord
import android.media.MediaRecorder
import dev.sphereedge.AudioManager
import java.io.IOException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOn

private const val BLOCK_SAMPLES = 1600

/** Records while it is collected. Throws IOException where the microphone cannot be had. */
@SuppressLint("MissingPermission")
fun microphone(): Flow<FloatArray> = flow {
    val recorder = AudioRecord(
        MediaRecorder.AudioSource.VOICE_RECOGNITION,
        AudioManager.SAMPLE_RATE,
        AudioFormat.CHANNEL_IN_MONO,
        AudioFormat.ENCODING_PCM_FLOAT,
        // Four seconds: the engine may take a moment.
        AudioManager.SAMPLE_RATE * Float.SIZE_BYTES * 4,
    )
    try {
        if (recorder.state != AudioRecord.STATE_INITIALIZED) throw IOException("no microphone")
        recorder.startRecording()
        val block = FloatArray(BLOCK_SAMPLES)
        while (true) {
            currentCoroutineContext().ensureActive()
            val count = recorder.read(block, 0, block.size, AudioRecord.READ_BLOCKING)
            if (count < 0) throw IOException("the microphone ended with $count")
            emit(block.copyOf(count))
        }
    } finally {
        recorder.release()
    }
}.flowOn(Dispatchers.IO)
