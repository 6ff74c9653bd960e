// Bundles in a folder of the app: fetched file by file, gone on with where it stopped, and there only when whole.
package dev.sphereedge

import dev.sphereedge.internal.invalid
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.security.MessageDigest
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.channels.ProducerScope
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.flow.flowOn
import kotlinx.coroutines.withContext
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long

/** Where the files of a bundle come from: the app's assets, an AI pack, or a server that the app asks. */
public fun interface BundleSource {
    /** The bytes of the bundle's file [path] from byte [offset] on; closed by who asked. */
    public fun open(path: String, offset: Long): InputStream
}

/** How far an installation is. */
public data class BundleProgress(val doneBytes: Long, val totalBytes: Long)

/**
 * Bundles in [folder], each in a folder of its name.
 *
 * Compiled code never comes from a store: files of the role `library` are left out, because Android runs none that was
 * downloaded. It lies in the app, and is opened with [TextOpenOptions.codeFolder].
 */
public class BundleStore(private val folder: File) {
    /** The bundle of this name, or null while it is not there whole. */
    public fun bundle(name: String): File? = place(name).takeIf { File(it, MANIFEST).isFile }

    /** The names of the bundles that are there. */
    public fun names(): List<String> = folder.list().orEmpty().filter { NAME.matches(it) && bundle(it) != null }.sorted()

    /** Removes a bundle, and what is there of it. It must not be open. */
    public suspend fun remove(name: String): Unit = withContext(Dispatchers.IO) {
        for (gone in listOf(place(name), beside(name))) {
            if (gone.exists() && !gone.deleteRecursively()) throw storage("cannot remove `$gone`")
        }
    }

    /**
     * Installs the bundle [name] from [source]. A former attempt is gone on with; every file is compared with its hash in
     * the manifest, and the bundle appears when it is whole. [id], if given, is the id that it must have.
     *
     * Throws MODEL_CORRUPT for a file that is not the manifest's, STORAGE, and UNAVAILABLE with what [source] threw.
     */
    public fun install(name: String, source: BundleSource, id: String? = null): Flow<BundleProgress> = channelFlow {
        val target = place(name)
        val work = beside(name)
        if (bundle(name) != null) return@channelFlow
        if (!work.isDirectory && !work.mkdirs()) throw storage("cannot make `$work`")
        // Read once: another answer of the source must not get past the checks of this one.
        val written = text(source)
        val manifest = parsed(written)
        val found = manifest["id"]?.jsonPrimitive?.content
        if (id != null && found != id) throw corrupt("the bundle is `$found`, not `$id`")
        // Of another bundle: what is there of it is of no use.
        val mark = File(work, MARK)
        if (mark.isFile && mark.readText() != found) work.listFiles().orEmpty().forEach { it.deleteRecursively() }
        mark.writeText(found ?: throw corrupt("the manifest has no id"))
        val files = files(manifest)
        val total = files.sumOf { it.bytes }
        if (work.usableSpace < total - files.sumOf { minOf(it.bytes, File(work, it.path).length()) }) {
            throw storage("`$total` bytes do not fit on the disk")
        }
        var done = 0L
        for (file in files) {
            fetch(source, file, File(work, file.path), done, total)
            done += file.bytes
            send(BundleProgress(done, total))
        }
        File(work, MANIFEST).writeText(written)
        mark.delete()
        if (!work.renameTo(target)) throw storage("cannot rename `$work` to `$target`")
    }.conflate().flowOn(Dispatchers.IO)

    private class Listed(val path: String, val bytes: Long, val sha256: String)

    private suspend fun ProducerScope<BundleProgress>.fetch(source: BundleSource, file: Listed, into: File, before: Long, total: Long) {
        into.parentFile?.mkdirs()
        if (into.length() > file.bytes) into.delete()
        var written = into.length()
        if (written < file.bytes) {
            reading(file.path) { source.open(file.path, written) }.use { input ->
                into.appendingTo { output ->
                    val block = ByteArray(BLOCK_BYTES)
                    while (true) {
                        ensureActive()
                        val count = reading(file.path) { input.read(block) }
                        if (count < 0) break
                        written += count
                        if (written > file.bytes) throw corrupt("`${file.path}` is longer than `${file.bytes}` bytes")
                        output.write(block, 0, count)
                        trySend(BundleProgress(before + written, total))
                    }
                }
            }
        }
        if (written != file.bytes) throw SphereEdgeException(Status.UNAVAILABLE, "`${file.path}` ended after `$written` of `${file.bytes}` bytes", "try again: it goes on from there")
        if (sha256(into) != file.sha256) {
            into.delete()
            throw corrupt("`${file.path}` is not the file that the manifest names")
        }
    }

    private fun files(manifest: JsonObject): List<Listed> = try {
        manifest.getValue("files").jsonArray.map { it.jsonObject }
            .filter { it.text("role") != "library" }
            .map { Listed(it.text("path"), it.getValue("bytes").jsonPrimitive.long, it.text("sha256")) }
    } catch (error: RuntimeException) {
        throw SphereEdgeException(Status.MODEL_CORRUPT, "the manifest lists no files", cause = error)
    }.onEach { if (!PATH.matches(it.path) || it.bytes < 0 || it.path == MANIFEST) throw corrupt("`${it.path}` is not a file of a bundle") }

    private fun parsed(manifest: String): JsonObject = try {
        Json.parseToJsonElement(manifest).jsonObject
    } catch (error: RuntimeException) {
        throw SphereEdgeException(Status.MODEL_CORRUPT, "the manifest is not a JSON object", cause = error)
    }

    private fun text(source: BundleSource): String = reading(MANIFEST) {
        source.open(MANIFEST, 0).use { input ->
            val all = ByteArray(MOST_MANIFEST_BYTES + 1)
            var count = 0
            while (count < all.size) {
                val read = input.read(all, count, all.size - count)
                if (read < 0) break
                count += read
            }
            if (count > MOST_MANIFEST_BYTES) throw corrupt("the manifest has more than `$MOST_MANIFEST_BYTES` bytes")
            all.decodeToString(0, count)
        }
    }

    private fun <T> reading(path: String, read: () -> T): T = try {
        read()
    } catch (error: IOException) {
        throw SphereEdgeException(Status.UNAVAILABLE, "`$path` cannot be read: ${error.message}", "try again", error)
    }

    private suspend fun File.appendingTo(write: suspend (java.io.OutputStream) -> Unit) = try {
        java.io.FileOutputStream(this, true).use { output ->
            write(output)
            output.fd.sync()
        }
    } catch (error: IOException) {
        throw SphereEdgeException(Status.STORAGE, "cannot write `$path`: ${error.message}", cause = error)
    }

    private fun sha256(file: File): String {
        val digest = MessageDigest.getInstance("SHA-256")
        file.inputStream().use { input ->
            val block = ByteArray(BLOCK_BYTES)
            while (true) {
                val count = input.read(block)
                if (count < 0) break
                digest.update(block, 0, count)
            }
        }
        return digest.digest().joinToString("") { "%02x".format(it) }
    }

    private fun place(name: String): File {
        if (!NAME.matches(name)) throw invalid("`$name` is not a bundle's name")
        return File(folder, name)
    }

    private fun beside(name: String) = File(folder, ".${place(name).name}.part")

    private fun JsonObject.text(name: String): String = getValue(name).jsonPrimitive.also { require(it.isString) }.content

    private companion object {
        const val MANIFEST = "bundle.json"
        const val MARK = ".id"
        const val BLOCK_BYTES = 1 shl 16
        const val MOST_MANIFEST_BYTES = 16 shl 20
        val NAME = Regex("[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
        val PATH = Regex("[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,7}")

        fun corrupt(message: String) = SphereEdgeException(Status.MODEL_CORRUPT, message)
        fun storage(message: String) = SphereEdgeException(Status.STORAGE, message)
    }
}
