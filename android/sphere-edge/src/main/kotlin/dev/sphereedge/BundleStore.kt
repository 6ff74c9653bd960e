// Bundles in a folder of the app: fetched file by file, gone on with where it stopped, and there only when whole.
package dev.sphereedge

import dev.sphereedge.internal.BundleManifest
import dev.sphereedge.internal.invalid
import java.io.File
import java.io.FileOutputStream
import java.io.IOException
import java.io.InputStream
import java.io.OutputStream
import java.security.MessageDigest
import java.util.concurrent.ConcurrentHashMap
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.channels.ProducerScope
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.channelFlow
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.flow.flowOn
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import kotlinx.coroutines.withContext

/** How far an installation is. */
public data class BundleProgress(val doneBytes: Long, val totalBytes: Long)

/**
 * Bundles in [folder], each in a folder of its name; for one process.
 *
 * Compiled code never comes from a store: files of the role `library` are left out, because Android runs none that was
 * downloaded. It lies in the app, and is opened with [TextOpenOptions.codeFolder].
 */
public class BundleStore(private val folder: File) {
    /** The bundle of this name, or null while it is not there whole. */
    public fun bundle(name: String): File? = synchronized(renaming) {
        val target = target(name)
        // The app ended between the two renames of a replacement.
        if (!target.exists() && former(name).exists()) former(name).renameTo(target)
        target.takeIf { File(it, BundleManifest.NAME).isFile }
    }

    /** The names of the bundles that are there. */
    public fun names(): List<String> = folder.list().orEmpty()
        .map { it.removePrefix(".").removeSuffix(FORMER) }
        .filter { NAME.matches(it) && bundle(it) != null }.distinct().sorted()

    /** Removes a bundle, and what is there of it. A model that is open goes on with the files that it has. */
    public suspend fun remove(name: String): Unit = withContext(Dispatchers.IO) {
        installing(name).withLock {
            // The bundle last: the one before it must not come back.
            for (gone in listOf(former(name), partial(name), target(name))) removeAll(gone)
        }
    }

    /**
     * Installs the bundle [name] from [source]. A former attempt is gone on with; the manifest has to give its id, every
     * file its hash in the manifest, and the bundle appears when it is whole.
     *
     * A bundle of this name that is there stays if it has the same id, and is replaced otherwise: the new one is there in
     * one step, when it is whole; until then the old one is. With [id], the id that it must have, [source] is not even
     * asked where this bundle is there already. Two installations of one name wait for each other. [signed]: its
     * signatures come along, for [TextOpenOptions.trustedKeys]; those of a bundle that stays are asked for each time, and
     * replaced where others were made since.
     *
     * Throws MODEL_CORRUPT for a file that is not the manifest's, STORAGE, and UNAVAILABLE with what [source] threw.
     */
    public fun install(name: String, source: BundleSource, id: String? = null, signed: Boolean = false): Flow<BundleProgress> = channelFlow {
        installing(name).withLock {
            val present = bundle(name)?.let(::idOf)
            // Read once: another answer of the source must not get past the checks of this one.
            val manifest = if (id != null && present == id) null else manifest(source, id)
            val signatures = if (signed) small(source, SIGNATURES, MOST_SIGNATURE_BYTES) else null
            if (manifest != null && manifest.id != present) {
                put(name, fetched(name, source, manifest, signatures))
            } else if (signatures != null) {
                renew(target(name), signatures)
            }
        }
    }.conflate().flowOn(Dispatchers.IO)

    private fun manifest(source: BundleSource, id: String?): BundleManifest {
        val manifest = BundleManifest(small(source, BundleManifest.NAME, MOST_MANIFEST_BYTES).decodeToString())
        manifest.checkId()
        if (id != null && manifest.id != id) throw corrupt("the bundle is `${manifest.id}`, not `$id`")
        return manifest
    }

    /** In one step: whoever opens the bundle meanwhile reads the old signatures or the new ones. */
    private suspend fun renew(bundle: File, signatures: ByteArray) {
        val there = File(bundle, SIGNATURES)
        if (there.isFile && there.readBytes().contentEquals(signatures)) return
        write(bundle, NEW_SIGNATURES, signatures)
        if (!File(bundle, NEW_SIGNATURES).renameTo(there)) throw storage("cannot replace `$there`")
    }

    /** Null for a bundle that is damaged, and is replaced as any other. */
    private fun idOf(bundle: File): String? = try {
        BundleManifest.of(bundle).id
    } catch (_: SphereEdgeException) {
        null
    }

    /** The folder with all of the bundle, at another name. */
    private suspend fun ProducerScope<BundleProgress>.fetched(name: String, source: BundleSource, manifest: BundleManifest, signatures: ByteArray?): File {
        val work = partial(name)
        if (!work.isDirectory && !work.mkdirs()) throw storage("cannot make `$work`")
        val mark = File(work, MARK)
        // Of another bundle: what is there of it is of no use.
        if (!mark.isFile || mark.readText() != manifest.id) work.listFiles().orEmpty().forEach(::removeAll)
        mark.writeText(manifest.id)
        val files = manifest.data
        val total = files.sumOf { it.bytes }
        if (work.usableSpace < total - files.sumOf { minOf(it.bytes, File(work, it.path).length()) }) {
            throw storage("`$total` bytes do not fit on the disk")
        }
        var done = 0L
        for (file in files) {
            fetch(source, file, File(work, file.path), BundleProgress(done, total))
            done += file.bytes
            send(BundleProgress(done, total))
        }
        write(work, SIGNATURES, signatures)
        write(work, BundleManifest.NAME, manifest.text.encodeToByteArray())
        return work
    }

    private suspend fun write(work: File, name: String, content: ByteArray?) {
        val written = File(work, name)
        removeAll(written)
        if (content != null) written.appendingTo { it.write(content) }
    }

    private fun put(name: String, work: File) {
        val target = target(name)
        val former = former(name)
        synchronized(renaming) {
            removeAll(former)
            if (target.exists() && !target.renameTo(former)) throw storage("cannot rename `$target` to `$former`")
            if (!work.renameTo(target)) {
                former.renameTo(target)
                throw storage("cannot rename `$work` to `$target`")
            }
        }
        File(target, MARK).delete()
        removeAll(former)
    }

    private suspend fun ProducerScope<BundleProgress>.fetch(source: BundleSource, file: BundleManifest.Entry, into: File, before: BundleProgress) {
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
                        trySend(before.copy(doneBytes = before.doneBytes + written))
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

    private fun small(source: BundleSource, path: String, most: Int): ByteArray = reading(path) {
        source.open(path, 0).use { input ->
            val all = ByteArray(most + 1)
            var count = 0
            while (count < all.size) {
                val read = input.read(all, count, all.size - count)
                if (read < 0) break
                count += read
            }
            if (count > most) throw corrupt("`$path` has more than `$most` bytes")
            all.copyOf(count)
        }
    }

    private fun <T> reading(path: String, read: () -> T): T = try {
        read()
    } catch (error: IOException) {
        throw SphereEdgeException(Status.UNAVAILABLE, "`$path` cannot be read: ${error.message}", "try again: it goes on from there", error)
    }

    private suspend fun File.appendingTo(write: suspend (OutputStream) -> Unit) = try {
        FileOutputStream(this, true).use { output ->
            write(output)
            output.fd.sync()
        }
    } catch (error: IOException) {
        throw SphereEdgeException(Status.STORAGE, "cannot write `$path`: ${error.message}", cause = error)
    }

    private fun sha256(file: File): String {
        val digest = MessageDigest.getInstance("SHA-256")
        file.inputStream().use { input: InputStream ->
            val block = ByteArray(BLOCK_BYTES)
            while (true) {
                val count = input.read(block)
                if (count < 0) break
                digest.update(block, 0, count)
            }
        }
        return digest.digest().joinToString("") { "%02x".format(it) }
    }

    private fun removeAll(gone: File) {
        if (gone.exists() && !gone.deleteRecursively()) throw storage("cannot remove `$gone`")
    }

    private fun target(name: String): File {
        if (!NAME.matches(name)) throw invalid("`$name` is not a bundle's name")
        return File(folder, name)
    }

    private fun partial(name: String) = File(folder, ".${target(name).name}.part")

    private fun former(name: String) = File(folder, ".${target(name).name}$FORMER")

    private fun installing(name: String): Mutex = installations.computeIfAbsent(target(name).canonicalPath) { Mutex() }

    private companion object {
        const val FORMER = ".former"
        const val MARK = ".id"
        const val BLOCK_BYTES = 1 shl 16
        const val MOST_MANIFEST_BYTES = 16 shl 20
        const val SIGNATURES = "bundle.sig.json"
        const val NEW_SIGNATURES = ".bundle.sig.json.part"
        const val MOST_SIGNATURE_BYTES = 1 shl 20
        val NAME = Regex("[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
        val installations = ConcurrentHashMap<String, Mutex>()
        val renaming = Any()

        fun corrupt(message: String) = SphereEdgeException(Status.MODEL_CORRUPT, message)
        fun storage(message: String) = SphereEdgeException(Status.STORAGE, message)
    }
}
