// Cancels, readers that leave and closes at any moment: no crash, no thread that stays, no memory that grows.
package dev.sphereedge

import java.io.File
import kotlin.random.Random
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

class RacesTest {
    private val long = TextRequest(temperature = 0f, maxTokens = 400, ignoreEndOfText = true)
    private val short = TextRequest(temperature = 0f, maxTokens = 2, ignoreEndOfText = true)
    private val options = TextOpenOptions(threads = 1, contextTokens = 512)
    private val random = Random(7)

    private suspend fun open() = TextManager.open(Models["text"], options)

    private fun wait(random: Random) = Thread.sleep(0, random.nextInt(900_000))

    @Test
    fun `a thousand cancels`() = runBlocking {
        open().use { text ->
            repeat(1000) {
                val reader = launch(Dispatchers.Default) { text.generate("Hi", long).collect() }
                wait(random)
                if (it % 2 == 0) text.cancel()
                reader.cancelAndJoin()
            }
            assertEquals(2, text.generate("Hi", short).answer().result.completionTokens)
        }
    }

    @Test
    fun `a thousand readers that leave`() = runBlocking {
        open().use { text ->
            repeat(1000) { text.generate("Hi", long).take(1 + it % 3).collect() }
            assertEquals(2, text.generate("Hi", short).answer().result.completionTokens)
        }
    }

    @Test
    fun `closes while a text is made`() = runBlocking {
        val failures = HashMap<Status, Int>()
        repeat(200) {
            val text = open()
            val reader = async(Dispatchers.Default) { runCatching { text.generate("Hi", long).collect() } }
            wait(random)
            val closers = List(2) { launch(Dispatchers.Default) { text.close() } }
            closers.forEach { it.join() }
            val failure = reader.await().exceptionOrNull()
            if (failure != null) failures.merge((failure as SphereEdgeException).status, 1, Int::plus)
        }
        assertTrue(failures.toString(), failures.keys.all { it == Status.CANCELLED || it == Status.INVALID_ARGUMENT })
    }

    @Test
    fun `eight managers in parallel`(): Unit = runBlocking {
        val texts = List(8) {
            async(Dispatchers.IO) {
                List(4) { open().use { text -> text.generate("The sky is", TextRequest(temperature = 0f, maxTokens = 8)).answer().text } }
            }
        }.awaitAll().flatten()
        assertEquals(1, texts.toSet().size)
    }

    @Test
    fun `memory and threads stay as they are over 500 models`() = runBlocking {
        suspend fun once() = open().use { text -> text.generate("Hi", short).collect() }
        repeat(100) { once() }
        System.gc()
        val bytes = residentBytes()
        val threads = Thread.activeCount()
        repeat(500) { once() }
        System.gc()
        val grown = residentBytes() - bytes
        assertTrue("$grown bytes", grown < 24 * 1024 * 1024)
        assertTrue("${Thread.activeCount()} threads after $threads", Thread.activeCount() <= threads + 4)
    }

    private fun residentBytes(): Long = File("/proc/self/statm").readText().split(' ')[1].toLong() * 4096
}
