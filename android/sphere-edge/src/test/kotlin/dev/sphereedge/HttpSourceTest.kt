// Bundles from a real web server at 127.0.0.1, which serves, cuts off, redirects and refuses.
package dev.sphereedge

import com.sun.net.httpserver.HttpExchange
import com.sun.net.httpserver.HttpServer
import java.io.File
import java.net.InetAddress
import java.net.InetSocketAddress
import java.net.ServerSocket
import java.util.concurrent.CopyOnWriteArrayList
import java.util.concurrent.Executors
import kotlin.io.path.createTempDirectory
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class HttpSourceTest {
    private val folder = createTempDirectory("http").toFile()
    private val store = BundleStore(folder)
    private val bundle = Models["text"]
    private val weights = File(bundle, "weights").listFiles()!!.first()
    private val threads = Executors.newCachedThreadPool()
    private val server = HttpServer.create(InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0)
    private val address = "http://127.0.0.1:${server.address.port}"

    /** Path and range of each request. */
    private val requests = CopyOnWriteArrayList<String>()

    /** Whether the server knows ranges, and after how many bytes of the weights it hangs up. */
    private var knowsRanges = true
    private var cutsAfter = Int.MAX_VALUE

    init {
        server.createContext("/tiny") { exchange -> exchange.use(::serve) }
        server.createContext("/old") { exchange ->
            exchange.use {
                it.responseHeaders["Location"] = "/tiny" + it.requestURI.path.removePrefix("/old")
                it.sendResponseHeaders(302, -1)
            }
        }
        server.executor = threads
        server.start()
    }

    @After
    fun stop() {
        server.stop(0)
        threads.shutdownNow()
        folder.deleteRecursively()
    }

    private fun serve(exchange: HttpExchange) {
        val file = File(bundle, exchange.requestURI.path.removePrefix("/tiny/"))
        val range = exchange.requestHeaders.getFirst("Range")
        requests += listOfNotNull(exchange.requestURI.path, range).joinToString(" ")
        if (!file.isFile || exchange.requestHeaders.getFirst("X-Key") == "wrong") return exchange.sendResponseHeaders(if (file.isFile) 403 else 404, -1)
        val from = if (knowsRanges && range != null) range.removePrefix("bytes=").removeSuffix("-").toInt() else 0
        val content = file.readBytes().drop(from).toByteArray()
        if (from > 0) exchange.responseHeaders["Content-Range"] = "bytes $from-${file.length() - 1}/${file.length()}"
        exchange.sendResponseHeaders(if (from > 0) 206 else 200, content.size.toLong())
        // Fewer bytes than were announced: the connection breaks off.
        exchange.responseBody.write(content, 0, if (file.name == weights.name) minOf(cutsAfter, content.size) else content.size)
    }

    private inline fun HttpExchange.use(work: (HttpExchange) -> Unit) = try {
        work(this)
    } finally {
        close()
    }

    private fun status(work: suspend () -> Unit) =
        assertThrows(SphereEdgeException::class.java) { runBlocking { work() } }.status

    private fun install(source: BundleSource = HttpSource("$address/tiny")) = runBlocking { store.install("tiny", source).toList() }

    private fun checkWhole() = assertArrayEquals(weights.readBytes(), File(store.bundle("tiny"), "weights/${weights.name}").readBytes())

    @Test
    fun `a bundle is downloaded with progress, and opens`() {
        val progress = install()
        assertEquals(progress.last().totalBytes, progress.last().doneBytes)
        assertTrue(progress.zipWithNext().all { (a, b) -> a.doneBytes <= b.doneBytes })
        runBlocking { TextManager.open(store.bundle("tiny")!!, TextOpenOptions(codeFolder = File(bundle, "lib"))) }.close()
        assertTrue(requests.none { "/lib/" in it })
    }

    @Test
    fun `a download that was cut off goes on where it ended`() {
        cutsAfter = 5000
        assertEquals(Status.UNAVAILABLE, status { install() })
        cutsAfter = Int.MAX_VALUE
        requests.clear()
        install()
        checkWhole()
        val gone = requests.single { weights.name in it }
        assertTrue(gone, Regex(".* bytes=[1-9][0-9]*-").matches(gone))
    }

    @Test
    fun `a server that knows no ranges sends the beginning again`() {
        cutsAfter = 5000
        assertEquals(Status.UNAVAILABLE, status { install() })
        cutsAfter = Int.MAX_VALUE
        knowsRanges = false
        install()
        checkWhole()
    }

    @Test
    fun `a reader that leaves ends the download`() {
        runBlocking { store.install("tiny", HttpSource("$address/tiny")).first() }
        install(HttpSource("$address/old/"))
        checkWhole()
    }

    @Test
    fun `what is not a file of the bundle is refused`() {
        assertEquals(Status.UNAVAILABLE, status { install(HttpSource("$address/nothing")) })
        assertEquals(Status.UNAVAILABLE, status { install(HttpSource("$address/tiny", mapOf("X-Key" to "wrong"))) })
        assertEquals(Status.UNAVAILABLE, status { install(HttpSource("http://127.0.0.1:1/tiny")) })
        for (wrong in listOf("", "tiny", "ftp://example.com/tiny", "file:///tiny", "https:///tiny", "https://a/b?c=d", "https://a b")) {
            assertEquals(wrong, Status.INVALID_ARGUMENT, status { HttpSource(wrong) })
        }
        assertEquals(Status.INVALID_ARGUMENT, status { HttpSource(address, timeout = 0.seconds) })
    }

    @Test
    fun `a server that sends nothing is not waited for`() {
        ServerSocket(0, 1, InetAddress.getLoopbackAddress()).use { silent ->
            val source = HttpSource("http://127.0.0.1:${silent.localPort}/tiny", timeout = 200.milliseconds)
            assertEquals(Status.UNAVAILABLE, status { store.install("tiny", source).collect() })
        }
    }
}
