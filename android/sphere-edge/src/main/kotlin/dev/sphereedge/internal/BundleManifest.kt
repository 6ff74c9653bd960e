// The parts of a bundle's bundle.json that the library itself reads; the core reads all of it.
package dev.sphereedge.internal

import dev.sphereedge.SphereEdgeException
import dev.sphereedge.Status
import java.io.File
import java.io.IOException
import java.security.MessageDigest
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long

/** [text] as it was read. Everything throws MODEL_CORRUPT for what is not there or of another type. */
internal class BundleManifest(val text: String) {
    /** A file of the bundle; [path] stays inside the bundle's folder. */
    class Entry(val path: String, val bytes: Long, val sha256: String)

    private val json: JsonObject

    init {
        // Deeper, the parser would end the process.
        if (depth() > MOST_DEPTH) throw corrupt("the manifest is nested too deeply")
        json = read("is not a JSON object") { Json.parseToJsonElement(text).jsonObject }
    }

    /** Changes with every byte of the bundle. */
    val id: String get() = read("has no id") { json.text("id") }

    val peakBytes: Long
        get() = read("does not say what memory the model needs") {
            json.getValue("memory").jsonObject.getValue("peak_bytes").jsonPrimitive.long
        }

    /** All files but the manifest and compiled code. */
    val data: List<Entry>
        get() = read("lists no files") {
            json.getValue("files").jsonArray.map { it.jsonObject }
                .filter { it.text("role") != "library" }
                .map { Entry(it.text("path"), it.getValue("bytes").jsonPrimitive.long, it.text("sha256")) }
        }.onEach { if (!PATH.matches(it.path) || it.bytes < 0 || it.path == NAME) throw corrupt("`${it.path}` is not a file of a bundle") }

    /** Whether the content gives the [id]: the hash of the document without it, keys sorted and without white space. */
    fun checkId() {
        val rest = canonical(JsonObject(json - "id")).toString().encodeToByteArray()
        val hash = MessageDigest.getInstance("SHA-256").digest(rest).joinToString("") { "%02x".format(it) }
        if (hash != id) throw corrupt("the manifest is damaged: its content does not give its id")
    }

    // Numbers stay as they were written, as Python writes them.
    private fun canonical(from: JsonElement): JsonElement = when (from) {
        is JsonObject -> JsonObject(from.toSortedMap().mapValues { canonical(it.value) })
        is JsonArray -> JsonArray(from.map(::canonical))
        else -> from
    }

    private fun depth(): Int {
        var depth = 0
        var most = 0
        var isInString = false
        var isEscaped = false
        for (character in text) {
            when {
                isEscaped -> isEscaped = false
                isInString && character == '\\' -> isEscaped = true
                character == '"' -> isInString = !isInString
                isInString -> Unit
                character == '{' || character == '[' -> most = maxOf(most, ++depth)
                character == '}' || character == ']' -> depth--
            }
        }
        return most
    }

    private fun <T> read(problem: String, from: () -> T): T = try {
        from()
        // What serialization throws for another type or a number that is none, and for a missing key.
    } catch (error: IllegalArgumentException) {
        throw corrupt("the manifest $problem", error)
    } catch (error: NoSuchElementException) {
        throw corrupt("the manifest $problem", error)
    }

    private fun JsonObject.text(name: String): String = getValue(name).jsonPrimitive.also { require(it.isString) }.content

    companion object {
        const val NAME: String = "bundle.json"
        private const val MOST_DEPTH = 50
        private val PATH = Regex("[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,7}")

        /** That of the bundle in [folder]. Throws NOT_FOUND, too. */
        fun of(folder: File): BundleManifest = BundleManifest(
            try {
                File(folder, NAME).readText()
            } catch (error: IOException) {
                throw SphereEdgeException(Status.NOT_FOUND, "no bundle `$folder`", cause = error)
            },
        )

        private fun corrupt(message: String, cause: Throwable? = null) = SphereEdgeException(Status.MODEL_CORRUPT, message, cause = cause)
    }
}
