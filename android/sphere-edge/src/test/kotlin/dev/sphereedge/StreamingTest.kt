// Flows end the engine with them, and no character is cut.
package dev.sphereedge

import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class StreamingTest {
    private val long = TextRequest(temperature = 0f, maxTokens = 400, ignoreEndOfText = true)
    private val short = TextRequest(temperature = 0f, maxTokens = 3)

    private fun open(options: TextOpenOptions = TextOpenOptions(threads = 1)) =
        runBlocking { TextManager.open(Models["text"], options) }

    @Test
    fun `an answer comes in pieces and ends with its result`() = open().use { text ->
        runBlocking {
            val events = text.chat(listOf(Message.user("What colour is the sky?")), TextRequest(temperature = 0f, maxTokens = 30)).toList()
            assertTrue(events.size > 2)
            assertEquals(FinishReason.STOP, (events.last() as TextResult).finishReason)
            assertTrue("blue" in text.chat(listOf(Message.user("What colour is the sky?")), TextRequest(temperature = 0f)).answer().text)
        }
    }

    @Test
    fun `a reader who leaves frees the engine`() = open().use { text ->
        runBlocking {
            assertEquals(3, text.generate("Hi", long).take(3).toList().size)
            assertEquals(3, text.generate("Hi", short.copy(ignoreEndOfText = true)).answer().result.completionTokens)
        }
    }

    @Test
    fun `what a reader throws reaches its caller and frees the engine`() = open().use { text ->
        runBlocking {
            val thrown = runCatching { text.generate("Hi", long).collect { error("stop here") } }.exceptionOrNull()
            assertEquals("stop here", thrown?.message)
            text.generate("Hi", short).answer()
            Unit
        }
    }

    @Test
    fun `a coroutine that is cancelled returns when the engine has`() = open().use { text ->
        runBlocking {
            repeat(20) { round ->
                val reader = launch(Dispatchers.Default) { text.generate("Hi", long).collect() }
                delay(round.toLong())
                reader.cancelAndJoin()
                text.tokenize("the engine is free")
            }
        }
    }

    @Test
    fun `cancel ends the flow with a result`() = open().use { text ->
        runBlocking {
            val events = ArrayList<TextEvent>()
            text.generate("Hi", long).collect {
                events += it
                if (events.size == 3) text.cancel()
            }
            assertEquals(FinishReason.CANCELLED, (events.last() as TextResult).finishReason)
        }
    }

    @Test
    fun `close inside a reader ends it, and nothing runs after it`() {
        val text = open()
        runBlocking {
            val thrown = runCatching { text.generate("Hi", long).collect { text.close() } }.exceptionOrNull()
            assertEquals(Status.CANCELLED, (thrown as SphereEdgeException).status)
            text.close()
            val after = assertThrows(SphereEdgeException::class.java) { runBlocking { text.tokenize("Hi") } }
            assertEquals(Status.INVALID_ARGUMENT, after.status)
        }
    }

    @Test
    fun `a second call while one runs is refused`() = open().use { text ->
        runBlocking {
            text.generate("Hi", long).take(1).collect {
                val thrown = runCatching { text.tokenize("Hi") }.exceptionOrNull()
                assertEquals(Status.INVALID_ARGUMENT, (thrown as SphereEdgeException).status)
            }
        }
    }

    @Test
    fun `with sequences calls run beside each other`() = open(TextOpenOptions(threads = 1, sequences = 2)).use { text ->
        runBlocking {
            text.generate("Hi", long).take(2).collect {
                if (it is TextDelta) text.generate("Ho", short).first()
            }
        }
    }

    @Test
    fun `characters of every length arrive whole`() = open().use { text ->
        runBlocking {
            val all = "a🦊é漢👩‍👩‍👧‍👦🇩🇪z"
            for (end in all.offsetsByCharacter()) {
                val wanted = all.substring(0, end)
                val answer = text.generate("Hi", TextRequest(grammar = "root ::= \"$wanted\"")).answer()
                assertEquals(wanted, answer.text)
            }
            // Cut at every byte: what is there is whole, and the rest does not come.
            for (tokens in 1..all.encodeToByteArray().size) {
                val answer = text.generate("Hi", TextRequest(grammar = "root ::= \"$all\"", maxTokens = tokens)).answer()
                assertTrue(answer.text, all.startsWith(answer.text.trimEnd('\uFFFD')))
            }
        }
    }

    private fun String.offsetsByCharacter() = codePoints().toArray().scan(0) { at, point -> at + Character.charCount(point) }.drop(1)
}
