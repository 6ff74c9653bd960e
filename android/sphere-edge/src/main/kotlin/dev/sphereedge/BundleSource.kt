// Where the files of a bundle come from, and when they may.
package dev.sphereedge

import java.io.EOFException
import java.io.FilterInputStream
import java.io.IOException
import java.io.InputStream

/** Where the files of a bundle come from: [HttpSource], on Android `AssetSource`, or the app's own. */
public fun interface BundleSource {
    /** The bytes of the bundle's file [path] from byte [offset] on; closed by who asked. */
    public fun open(path: String, offset: Long): InputStream
}

/**
 * The same files, as long as [isMet]: it is asked before each file and again with every megabyte. When it is not, an
 * installation ends with UNAVAILABLE, which names the [condition], and can be gone on with later.
 */
public fun BundleSource.onlyWhile(condition: String, isMet: () -> Boolean): BundleSource = BundleSource { path, offset ->
    fun check() {
        if (!isMet()) throw IOException("only $condition")
    }
    check()
    object : FilterInputStream(open(path, offset)) {
        private var unchecked = 0

        override fun read(): Int = super.read().also { if (it >= 0) counted(1) }

        override fun read(into: ByteArray, at: Int, length: Int): Int = super.read(into, at, length).also { counted(it) }

        private fun counted(bytes: Int) {
            unchecked += bytes
            if (unchecked < CHECKED_BYTES) return
            unchecked = 0
            check()
        }
    }
}

private const val CHECKED_BYTES = 1 shl 20

/** This stream from byte [offset] on; closed where it has none. */
internal fun InputStream.from(offset: Long): InputStream {
    var isThere = false
    try {
        var left = offset
        while (left > 0) {
            // Zero may also mean that nothing is there yet.
            val skipped = skip(left).takeIf { it > 0 } ?: if (read() < 0) throw EOFException("it ends before byte $offset") else 1
            left -= skipped
        }
        isThere = true
    } finally {
        if (!isThere) close()
    }
    return this
}
