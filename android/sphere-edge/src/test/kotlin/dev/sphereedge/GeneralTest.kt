// The log, what this machine and files are, wav files, and values that nothing can hold.
package dev.sphereedge

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.concurrent.ConcurrentLinkedQueue
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.jsonArray
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class GeneralTest {
    private fun status(work: suspend () -> Unit): Status =
        assertThrows(SphereEdgeException::class.java) { runBlocking { work() } }.status

    private fun use(work: suspend (TextManager) -> Unit) =
        runBlocking { TextManager.open(Models["text"], TextOpenOptions(threads = 1)) }.use { runBlocking { work(it) } }

    @Test
    fun `this machine and files are described`() {
        assertTrue(SphereEdge.version.isNotEmpty())
        assertTrue(SphereEdge.systemInfo().getValue("engines").jsonArray.size >= 4)
        assertEquals("text", SphereEdge.modelInfo(Models["text"]).getValue("task").string)
        assertEquals(Status.NOT_FOUND, status { SphereEdge.modelInfo(Models["missing"]) })
    }

    @Test
    fun `messages go to the log that is set, and what it throws goes nowhere`() {
        val messages = ConcurrentLinkedQueue<String>()
        SphereEdge.setLog { _, message -> messages += message }
        try {
            runBlocking { TextManager.open(Models["gguf"]) }.close()
            assertTrue(messages.isNotEmpty())
            SphereEdge.setLog { _, _ -> error("no") }
            runBlocking { TextManager.open(Models["gguf"]) }.close()
        } finally {
            SphereEdge.setLog(null)
        }
        val count = messages.size
        runBlocking { TextManager.open(Models["gguf"]) }.close()
        assertEquals(count, messages.size)
    }

    @Test
    fun `what nothing can hold is refused`() = use { text ->
        assertEquals(Status.INVALID_ARGUMENT, status { text.generate("a\u0000b").collect() })
        assertEquals(Status.INVALID_ARGUMENT, status { text.generate("half \uD83E").collect() })
        for (request in listOf(
            TextRequest(maxTokens = -1),
            TextRequest(temperature = Float.NaN),
            TextRequest(seed = 4_294_967_295),
            TextRequest(topLogprobs = 300),
            TextRequest(logitBias = mapOf(1 to Float.POSITIVE_INFINITY)),
            TextRequest(logitBias = mapOf(-5 to 1f)),
        )) {
            assertEquals("$request", Status.INVALID_ARGUMENT, status { text.generate("Hi", request).collect() })
        }
        assertEquals(listOf(0), text.tokenize("", addSpecial = false).asList() + 0)
    }

    @Test
    fun `drafts change nothing but the time`() = use { text ->
        val request = TextRequest(temperature = 0f, maxTokens = 20, ignoreEndOfText = true)
        val plain = text.generate("one two one two one", request).answer()
        val drafted = text.generate("one two one two one", request.copy(draft = Draft.PROMPT_LOOKUP)).answer()
        assertEquals(plain.text, drafted.text)
    }

    @Test
    fun `wav files of any rate and channels become samples`() {
        val file = File.createTempFile("sound", ".wav")
        try {
            file.writeBytes(wav(rate = 48000, channels = 2, samples = ShortArray(96000) { 16384 }))
            val samples = WavFile.read(file)
            assertEquals(16000, samples.size)
            assertTrue(samples.all { it == 0.5f })
            file.writeBytes(wav(rate = 8000, channels = 1, samples = ShortArray(8000)))
            assertEquals(16000, WavFile.read(file).size)
            val whole = wav(rate = 16000, channels = 1, samples = ShortArray(100))
            for (length in whole.indices) {
                file.writeBytes(whole.copyOf(length))
                val failure = assertThrows(SphereEdgeException::class.java) { WavFile.read(file) }
                assertEquals("$length", Status.MODEL_CORRUPT, failure.status)
            }
            file.writeText("<html>not a sound</html>")
            assertEquals(Status.UNSUPPORTED, status { WavFile.read(file) })
            assertEquals(Status.NOT_FOUND, status { WavFile.read(Models["missing"]) })
        } finally {
            file.delete()
        }
    }

    private fun wav(rate: Int, channels: Int, samples: ShortArray): ByteArray {
        val bytes = ByteBuffer.allocate(44 + samples.size * 2).order(ByteOrder.LITTLE_ENDIAN)
        bytes.put("RIFF".toByteArray()).putInt(36 + samples.size * 2).put("WAVEfmt ".toByteArray()).putInt(16)
        bytes.putShort(1).putShort(channels.toShort()).putInt(rate).putInt(rate * channels * 2)
        bytes.putShort((channels * 2).toShort()).putShort(16).put("data".toByteArray()).putInt(samples.size * 2)
        samples.forEach { bytes.putShort(it) }
        return bytes.array()
    }
}
