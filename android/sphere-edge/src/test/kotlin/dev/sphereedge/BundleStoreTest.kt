// Bundles arrive whole or not at all.
package dev.sphereedge

import dev.sphereedge.internal.BundleManifest
import java.io.ByteArrayInputStream
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.nio.file.Files
import java.nio.file.attribute.BasicFileAttributes
import java.security.MessageDigest
import kotlin.io.path.createTempDirectory
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.emptyFlow
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.*
import org.junit.After
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

class BundleStoreTest {
    private val folder = createTempDirectory("store").toFile()
    private val store = BundleStore(folder)
    private val others = createTempDirectory("others").toFile()
    private val bundle = Models["text"]

    @After
    fun remove() {
        folder.deleteRecursively()
        others.deleteRecursively()
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
    fun `a signed bundle opens with its key, and no other bundle does`() {
        val signed = Models["signed"]
        val keys = Models["trusted"].readText()
        fun options(keys: String) = TextOpenOptions(threads = 1, codeFolder = File(signed, "lib"), trustedKeys = keys)
        val source = BundleSource { path, offset -> skipped(File(signed, path), offset) }
        runBlocking { store.install("tiny", source).collect() }
        val unsigned = assertThrows(SphereEdgeException::class.java) { runBlocking { TextManager.open(store.bundle("tiny")!!, options(keys)) } }
        assertEquals(Status.UNTRUSTED, unsigned.status)
        assertTrue("$unsigned", "is not signed; expected a signature by" in unsigned.message!!)
        // The same bundle, now with its signatures.
        runBlocking { store.install("tiny", source, signed = true).collect() }
        runBlocking { TextManager.open(store.bundle("tiny")!!, options(keys)) }.close()
        assertEquals(Status.INVALID_ARGUMENT, status { TextManager.open(store.bundle("tiny")!!, options("")) })
        val none = BundleSource { path, offset -> skipped(File(bundle, path), offset) }
        assertEquals(Status.UNAVAILABLE, status { store.install("other", none, signed = true).collect() })
    }

    @Test
    fun `signatures that were made since replace those of the bundle that is there`() {
        val asked = ArrayList<String>()
        var signatures = "first"
        val first = copy("first", "one")
        val source = BundleSource { path, offset ->
            asked += path
            if (path == "bundle.sig.json") signatures.byteInputStream() else first.open(path, offset)
        }
        fun installed(id: String? = null): File {
            asked.clear()
            runBlocking { store.install("tiny", source, id, signed = true).collect() }
            return File(store.bundle("tiny"), "bundle.sig.json")
        }
        val there = installed()
        assertEquals("first", there.readText())
        val id = BundleManifest.of(store.bundle("tiny")!!).id
        signatures = "second"
        assertEquals("second", installed(id).readText())
        assertEquals(listOf("bundle.sig.json"), asked)
        signatures = "third"
        assertEquals("third", installed().readText())
        assertEquals(listOf("bundle.json", "bundle.sig.json"), asked)
        val file = Files.readAttributes(there.toPath(), BasicFileAttributes::class.java).fileKey()
        assertEquals(file, Files.readAttributes(installed(id).toPath(), BasicFileAttributes::class.java).fileKey())
        assertEquals(listOf("bundle.json", "bundle.sig.json"), store.bundle("tiny")!!.list()!!.filter { "json" in it }.sorted())
        // One without any gets them.
        assertTrue(there.delete())
        assertEquals("third", installed(id).readText())
        // They cannot be had: the bundle stays as it is.
        assertEquals(Status.UNAVAILABLE, status { store.install("tiny", { _, _ -> throw IOException("gone") }, id, signed = true).collect() })
        assertEquals("third", there.readText())
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
    fun `another bundle replaces the one of its name in one step`() {
        install(copy("first", "one"))
        runBlocking { TextManager.open(store.bundle("tiny")!!, TextOpenOptions(codeFolder = File(bundle, "lib"))) }.use { text ->
            val second = copy("second", "two")
            val seen = HashSet<String>()
            runBlocking {
                store.install("tiny", second).collect { seen += license() }
            }
            assertEquals("until it was whole", setOf("one"), seen - "two")
            assertEquals("two", license())
            // What is open goes on with the files that it has.
            assertEquals(2, runBlocking { text.generate("Hi", TextRequest(maxTokens = 2, ignoreEndOfText = true)).answer() }.result.completionTokens)
        }
        assertEquals(listOf("tiny"), folder.list()!!.toList())
    }

    @Test
    fun `a bundle that is there is not fetched again, and stays when its successor cannot be had`() {
        val asked = ArrayList<String>()
        val first = copy("first", "one")
        val source = BundleSource { path, offset -> asked += path; first.open(path, offset) }
        install(source)
        asked.clear()
        install(source)
        assertEquals(listOf("bundle.json"), asked)
        asked.clear()
        runBlocking { store.install("tiny", source, id = BundleManifest.of(store.bundle("tiny")!!).id).collect() }
        assertEquals(emptyList<String>(), asked)
        val second = copy("second", "two")
        val broken = BundleSource { path, offset -> if (path == "LICENSE") throw IOException("gone") else second.open(path, offset) }
        assertEquals(Status.UNAVAILABLE, status { install(broken) })
        assertEquals("one", license())
    }

    @Test
    fun `an app that ended between two steps has the old bundle or the new one`() {
        install(copy("first", "one"))
        // Before the second renaming.
        assertTrue(File(folder, "tiny").renameTo(File(folder, ".tiny.former")))
        assertEquals(listOf("tiny"), BundleStore(folder).names())
        assertEquals("one", license())
        // After it, before the old one was removed.
        File(folder, "tiny").copyRecursively(File(folder, ".tiny.former"))
        install(copy("second", "two"))
        assertEquals("two", license())
        // Then it is removed, and nothing comes back.
        File(folder, "tiny").copyRecursively(File(folder, ".tiny.former"))
        runBlocking { store.remove("tiny") }
        assertNull(store.bundle("tiny"))
        assertEquals(emptyList<String>(), store.names())
    }

    @Test
    fun `installations of one name wait for each other`(): Unit = runBlocking {
        val sources = listOf(copy("first", "one"), copy("second", "two"))
        List(8) { async(Dispatchers.IO) { BundleStore(folder).install("tiny", sources[it % 2]).collect() } }.awaitAll()
        assertTrue(license() in setOf("one", "two"))
        assertEquals(listOf("tiny"), folder.list()!!.toList())
    }

    @Test
    fun `a manifest that does not give its id is refused`() {
        val first = copy("first", "one")
        val forged = BundleSource { path, offset ->
            if (path != "bundle.json") first.open(path, offset) else first.open(path, 0).readBytes().decodeToString().replace("\"context_tokens\":", "\"context_tokens\":1").byteInputStream()
        }
        assertEquals(Status.MODEL_CORRUPT, status { install(forged) })
        // Brackets in strings are none.
        val deep = "[".repeat(100_000) + "]".repeat(100_000)
        for (manifest in listOf("""{"a": "$deep]]]", "files": $deep}""", "[", "", "{}", """{"id": 3, "files": []}""", "\u0000")) {
            assertEquals(Status.MODEL_CORRUPT, status { install { _, _ -> manifest.byteInputStream() } })
        }
    }

    @Test
    fun `a condition that is not met any more ends an installation, which goes on later`() {
        var isMet = false
        val source = copy("first", "one").onlyWhile("on Wi-Fi") { isMet }
        val thrown = runBlocking { runCatching { install(source) } }.exceptionOrNull() as SphereEdgeException
        assertEquals(Status.UNAVAILABLE, thrown.status)
        assertTrue(thrown.message!!, "only on Wi-Fi" in thrown.message!!)
        var megabytes = 0
        val long = BundleSource { _, _ -> ByteArrayInputStream(ByteArray(8 shl 20)) }.onlyWhile("for three megabytes") { megabytes++ < 4 }
        val read = long.open("", 0).run { assertThrows(IOException::class.java) { while (read(ByteArray(65_536)) > 0) Unit } }
        assertTrue(read.message!!, "three megabytes" in read.message!!)
        isMet = true
        install(source)
        assertEquals("one", license())
    }

    @Test
    fun `a pack that Play has delivered is opened where it is`() {
        val pack = File(folder, "assets/bundles")
        val packs = object : PlayPacks {
            override fun assetsFolder(pack: String) = if (pack == "weights") File(folder, "assets") else null
            override fun fetch(pack: String) = emptyFlow<BundleProgress>()
        }
        assertNull(packs.bundle("weights", "tiny"))
        bundle.copyRecursively(File(pack, "tiny"))
        assertNull(packs.bundle("others", "tiny"))
        runBlocking { TextManager.open(packs.bundle("weights", "tiny")!!) }.close()
    }

    private fun install(source: BundleSource) = runBlocking { store.install("tiny", source).collect() }

    private fun license() = File(store.bundle("tiny"), "LICENSE").readText()

    /** The bundle with another license, and so with another id. */
    private fun copy(name: String, license: String): BundleSource {
        val made = File(others, name).also { bundle.copyRecursively(it) }
        File(made, "LICENSE").delete()
        File(made, "LICENSE").writeText(license)
        val document = Json.parseToJsonElement(File(made, "bundle.json").readText()).jsonObject
        val listed = buildJsonObject {
            put("path", "LICENSE")
            put("bytes", license.length)
            put("sha256", sha256(license.toByteArray()))
            put("role", "license")
        }
        val files = document.getValue("files").jsonArray.filter { it.jsonObject.getValue("path").string != "LICENSE" } + listed
        val rest = document - "id" + ("files" to JsonArray(files))
        File(made, "bundle.json").writeText(JsonObject(rest + ("id" to JsonPrimitive(id(rest)))).toString())
        return BundleSource { path, offset -> skipped(File(made, path), offset) }
    }

    private fun id(rest: Map<String, JsonElement>) = sha256(JsonObject(sorted(JsonObject(rest)).jsonObject).toString().toByteArray())

    private fun sorted(from: JsonElement): JsonElement = when (from) {
        is JsonObject -> JsonObject(from.toSortedMap().mapValues { sorted(it.value) })
        is JsonArray -> JsonArray(from.map(::sorted))
        else -> from
    }

    private fun sha256(bytes: ByteArray) = MessageDigest.getInstance("SHA-256").digest(bytes).joinToString("") { "%02x".format(it) }

    @Test
    fun `no path leaves the folder`() {
        val listed = """"files": [{"path": "../../stolen", "bytes": 1, "sha256": "", "role": "weights"}]"""
        val manifest = """{"id": "${id(Json.parseToJsonElement("{$listed}").jsonObject)}", $listed}"""
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
