// The bundle that every language opens: tests/data/golden.bundle.
package dev.sphereedge

import dev.sphereedge.internal.BundleManifest
import kotlin.io.path.createTempDirectory
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.long
import kotlinx.serialization.json.jsonPrimitive
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class GoldenBundleTest {
    private val golden = Models["golden"]

    @Test
    fun `the core and the library read the same in it`() {
        val info = SphereEdge.modelInfo(golden)
        val manifest = BundleManifest.of(golden)
        manifest.checkId()
        assertEquals("golden", info.getValue("name").string)
        assertEquals("text", info.getValue("task").string)
        assertEquals(4096, info.getValue("predicted_peak_bytes").jsonPrimitive.long)
        assertEquals(4096, peakBytes(golden))
        assertEquals(listOf("LICENSE", "tokenizer.gguf", "weights/model-00001.safetensors"), manifest.data.map { it.path })
    }

    @Test
    fun `a store takes it, without its code`() {
        val folder = createTempDirectory("golden").toFile()
        try {
            val store = BundleStore(folder)
            val progress = runBlocking { store.install("golden", { path, offset -> golden.resolve(path).inputStream().from(offset) }).toList() }
            assertEquals(10L + 15 + 1024, progress.last().doneBytes)
            assertEquals(setOf("bundle.json", "LICENSE", "tokenizer.gguf", "weights"), store.bundle("golden")!!.list()!!.toSet())
        } finally {
            folder.deleteRecursively()
        }
    }

    @Test
    fun `its files are no model, which is said`() {
        val thrown = assertThrows(SphereEdgeException::class.java) { runBlocking { TextManager.open(golden) } }
        assertTrue(thrown.message, "tokenizer.gguf" in thrown.message!!)
        assertNotEquals(Status.INTERNAL, thrown.status)
    }
}
