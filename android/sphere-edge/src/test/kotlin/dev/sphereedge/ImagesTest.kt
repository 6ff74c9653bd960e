// Images in chats, and pixels.
package dev.sphereedge

import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class ImagesTest {
    private val request = TextRequest(temperature = 0f, maxTokens = 12, ignoreEndOfText = true)
    private val question = TextPart("What is this?")

    /** Large spots, of another colour for each [seed]. */
    private fun spots(seed: Int, width: Int = 90, height: Int = 60) = Pixels(
        width, height, 3,
        ByteArray(width * height * 3) { at -> ((at / 3 % width / 10 * 7 + at / 3 / width / 10 * 13 + at % 3 * 5) * (seed + 3) * 31).toByte() },
    )

    private fun seeing(work: suspend (TextManager) -> Unit) =
        runBlocking { TextManager.open(Models["gguf"], TextOpenOptions(threads = 2, mmproj = Models["mmproj"])) }.use { runBlocking { work(it) } }

    private suspend fun TextManager.told(vararg parts: Part) = chat(listOf(Message.user(*parts)), request).answer()

    private fun status(work: suspend () -> Unit) =
        assertThrows(SphereEdgeException::class.java) { runBlocking { work() } }.status

    @Test
    fun `what is answered depends on the image`() = seeing { text ->
        assertTrue(text.info.readsImages)
        val answers = (0..3).map { text.told(ImagePart(spots(it)), question).text }
        assertTrue("$answers", answers.toSet().size > 1)
        assertEquals(answers[1], text.told(ImagePart(spots(1)), question).text)
    }

    @Test
    fun `an image is part of the prompt, and is not computed again`() = seeing { text ->
        val messages = listOf(Message.user(ImagePart(spots(1)), question))
        val tokens = text.countChat(messages)
        assertTrue(tokens > text.countChat(listOf(Message.user(question))))
        assertEquals(tokens, text.chat(messages, request).answer().result.promptTokens)
        assertEquals(tokens - 1, text.chat(messages, request).answer().result.cachedTokens)
        // Of the same size, and another one.
        val other = text.told(ImagePart(spots(2)), question).result
        assertNotEquals(tokens - 1, other.cachedTokens)
        assertTrue("<__media__>" in text.renderChat(messages))
    }

    @Test
    fun `an image may be anywhere, and some be missing`() = seeing { text ->
        assertEquals(12, text.told(TextPart("From "), ImagePart(spots(1)), TextPart(" to "), ImagePart(spots(2, 10, 200))).result.completionTokens)
        val one = Message.user(ImagePart(spots(1)), question)
        assertEquals(Status.INVALID_ARGUMENT, status { text.chat(listOf(one.copy(images = emptyList())), request).collect() })
        assertEquals(Status.INVALID_ARGUMENT, status { text.chat(listOf(one.copy(images = one.images + one.images)), request).collect() })
        assertEquals(Status.INVALID_ARGUMENT, status { text.told(ImagePart(Pixels(2, 2, 1, ByteArray(4)))) })
    }

    @Test
    fun `a model that reads text only refuses images`() {
        runBlocking { TextManager.open(Models["gguf"]) }.use { text ->
            assertFalse(text.info.readsImages)
            assertEquals(Status.UNSUPPORTED, status { text.chat(listOf(Message.user(ImagePart(spots(1)))), request).toList() })
        }
    }

    @Test
    fun `pixels of Android become RGB, on white where they are transparent`() {
        val pixels = Pixels.ofArgb(intArrayOf(0xFF102030.toInt(), 0x00FFFFFF, 0x80000000.toInt(), 0x7F00FF00), 2, 2)
        assertArrayEquals(byteArrayOf(16, 32, 48, -1, -1, -1, 127, 127, 127, -128, -1, -128), pixels.bytes)
        assertArrayEquals(intArrayOf(0xFF102030.toInt(), -1, 0xFF7F7F7F.toInt(), 0xFF80FF80.toInt()), pixels.argb())
        assertEquals(Status.INVALID_ARGUMENT, status { Pixels.ofArgb(IntArray(3), 2, 2) })
        assertEquals(Status.INVALID_ARGUMENT, status { Pixels.ofArgb(IntArray(0), 0, 0) })
    }
}
