// Bundles arrive whole or not at all.
package dev.sphereedge

import java.io.ByteArrayInputStream
import java.io.File
import java.io.IOException
import java.io.InputStream
import kotlin.io.path.createTempDirectory
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

class BundleStoreTest {
    private val folder = createTempDirectory("store").toFile()
    private val store = BundleStore(folder)
    private val bundle = Models["text"]

    @After
    fun remove() {
        folder.deleteRecursively()
    }

    private fun status(work: suspend () -> Unit): Status? =
        (runBlocking { runCatching { work() } }.exceptionOrNull() as SphereEdgeException?)?.status

    @Test
    fun `a bundle is installed without its code, and opens with that of the app`() {
        val progress = runBlocking { store.install("tiny", { path, offset -> skipped(File(bundle, path), offset) }).toList() }
        assertEquals(progress.last().totalBytes, progress.last().doneBytes)
        val installed = store.bundle("tiny")!!
        assertTrue(File(installed, "lib").list().isNullOrEmpty())
        runBlocking { TextManager.open(installed, TextOpenOptions(codeFolder = File(bundle, "lib"))) }.use { text ->
            runBlocking { text.generate("Hi", TextRequest(maxTokens = 2)).collect() }
        }
        assertEquals(listOf("tiny"), store.names())
        assertTrue(peakBytes(installed) > 0)
        runBlocking { store.remove("tiny") }
        assertNull(store.bundle("tiny"))
    }

    @Test
    fun `what was cut off goes on where it stopped`() {
        val asked = ArrayList<Long>()
        val weights = File(bundle, "weights").listFiles()!!.first()
        val half = weights.length() / 2
        val cut = BundleSource { path, offset ->
            if (path.endsWith(weights.name)) asked += offset
            skipped(File(bundle, path), offset).let { if (path.endsWith(weights.name) && asked.size == 1) Cut(it, half) else it }
        }
        assertEquals(Status.UNAVAILABLE, status { store.install("tiny", cut).collect() })
        assertNull(store.bundle("tiny"))
        runBlocking { store.install("tiny", cut).collect() }
        assertNotNull(store.bundle("tiny"))
        assertEquals(0L, asked[0])
        assertTrue("$asked", asked[1] in 1..half)
    }

    @Test
    fun `a file that is not the manifest's is refused`() {
        val forged = BundleSource { path, offset ->
            if (path.startsWith("weights/")) ByteArrayInputStream(ByteArray(File(bundle, path).length().toInt() - offset.toInt())) else skipped(File(bundle, path), offset)
        }
        assertEquals(Status.MODEL_CORRUPT, status { store.install("tiny", forged).collect() })
        assertEquals(Status.MODEL_CORRUPT, status { store.install("tiny", { path, offset -> skipped(File(bundle, path), offset) }, id = "another").collect() })
        assertNull(store.bundle("tiny"))
    }

    @Test
    fun `the manifest that is kept is the one that was checked`() {
        var asked = 0
        val changing = BundleSource { path, offset ->
            if (path == "bundle.json" && ++asked > 1) ByteArrayInputStream("{}".toByteArray()) else skipped(File(bundle, path), offset)
        }
        runBlocking { store.install("tiny", changing).collect() }
        assertEquals(File(bundle, "bundle.json").readText(), File(store.bundle("tiny"), "bundle.json").readText())
    }

    @Test
    fun `no path leaves the folder`() {
        val manifest = """{"id": "x", "files": [{"path": "../../stolen", "bytes": 1, "sha256": "", "role": "weights"}]}"""
        assertEquals(Status.MODEL_CORRUPT, status { store.install("tiny", { _, _ -> ByteArrayInputStream(manifest.toByteArray()) }).collect() })
        for (name in listOf("..", "a/b", "", ".hidden")) assertEquals(Status.INVALID_ARGUMENT, status { store.bundle(name) })
        assertTrue(!File(folder.parentFile, "stolen").exists())
    }

    private fun skipped(file: File, offset: Long): InputStream = file.inputStream().apply { skip(offset) }

    /** Breaks after [left] bytes. */
    private class Cut(private val whole: InputStream, private var left: Long) : InputStream() {
        override fun read(): Int = throw IOException("the line was cut")

        override fun read(into: ByteArray, offset: Int, length: Int): Int {
            if (left == 0L) throw IOException("the line was cut")
            val count = whole.read(into, offset, minOf(length.toLong(), left).toInt())
            left -= count
            return count
        }
    }
}
