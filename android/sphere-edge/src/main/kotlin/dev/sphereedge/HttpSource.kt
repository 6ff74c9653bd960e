// The files of a bundle from a web server.
package dev.sphereedge

import dev.sphereedge.internal.invalid
import java.io.FilterInputStream
import java.io.IOException
import java.io.InputStream
import java.net.HttpURLConnection
import java.net.URI
import java.net.URISyntaxException
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds

/**
 * Files below [address], such as `https://example.com/models/tiny.pixel8`: a bundle's folder as it is, on any web server.
 * With a server that knows `Range`, a file that was cut off goes on where it ended; otherwise its first part is read again.
 *
 * An app that uses it asks for `android.permission.INTERNET`; the library does not. A server that sends nothing for
 * [timeout] ends the attempt; ending the reader of an installation may take as long. [headers] are sent with every request.
 */
public class HttpSource(
    address: String,
    private val headers: Map<String, String> = emptyMap(),
    private val timeout: Duration = 20.seconds,
) : BundleSource {
    private val address = address.trimEnd('/')

    init {
        val isKnown = try {
            URI(address).run { scheme?.lowercase() in listOf("http", "https") && !host.isNullOrEmpty() && query == null && fragment == null }
        } catch (_: URISyntaxException) {
            false
        }
        if (!isKnown) throw invalid("`$address` is not the address of a folder", "such as https://example.com/models/tiny.pixel8")
        if (timeout.inWholeMilliseconds !in 1..Int.MAX_VALUE) throw invalid("`$timeout` is not a value of `timeout`")
    }

    /** Throws IOException for an answer that is not the file. */
    override fun open(path: String, offset: Long): InputStream {
        val connection = URI("$address/$path").toURL().openConnection() as HttpURLConnection
        var isUsed = false
        try {
            connection.connectTimeout = timeout.inWholeMilliseconds.toInt()
            connection.readTimeout = timeout.inWholeMilliseconds.toInt()
            connection.useCaches = false
            // Compressed on its way, an offset would be another one.
            connection.setRequestProperty("Accept-Encoding", "identity")
            if (offset > 0) connection.setRequestProperty("Range", "bytes=$offset-")
            headers.forEach(connection::setRequestProperty)
            val code = connection.responseCode
            val isRest = code == HttpURLConnection.HTTP_PARTIAL
            if (!isRest && code != HttpURLConnection.HTTP_OK) throw IOException("the server answers with `$code`")
            val range = connection.getHeaderField("Content-Range").orEmpty()
            if (isRest && !range.startsWith("bytes $offset-")) throw IOException("the server sends another part, `$range`")
            val stream = Connected(connection)
            isUsed = true
            return if (isRest) stream else stream.from(offset)
        } finally {
            if (!isUsed) connection.disconnect()
        }
    }

    /** Ends the connection when it is closed early: what is left of the file is not waited for. */
    private class Connected(private val connection: HttpURLConnection) : FilterInputStream(connection.inputStream) {
        private var isAtEnd = false

        override fun read(): Int = super.read().also { isAtEnd = it < 0 }

        override fun read(into: ByteArray, at: Int, length: Int): Int = super.read(into, at, length).also { isAtEnd = it < 0 }

        override fun close() = if (isAtEnd) super.close() else connection.disconnect()
    }
}
