// Whether a bundle fits into memory, before it is opened.
package dev.sphereedge

import java.io.File
import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long

/**
 * The memory in bytes that the bundle at [path] needs at its most, as it was predicted when it was packaged: weights, KV
 * cache of one conversation and workspace. Throws NOT_FOUND, MODEL_CORRUPT.
 */
public fun peakBytes(path: File): Long {
    val manifest = File(path, "bundle.json")
    if (!manifest.isFile) throw SphereEdgeException(Status.NOT_FOUND, "no bundle `$path`")
    try {
        return Json.parseToJsonElement(manifest.readText()).jsonObject
            .getValue("memory").jsonObject.getValue("peak_bytes").jsonPrimitive.long
    } catch (error: SerializationException) {
        throw corrupt(path, error)
    } catch (error: IllegalArgumentException) {
        throw corrupt(path, error)
    } catch (error: NoSuchElementException) {
        throw corrupt(path, error)
    }
}

private fun corrupt(path: File, error: Exception) =
    SphereEdgeException(Status.MODEL_CORRUPT, "the manifest of `$path` does not say what memory it needs", cause = error)
