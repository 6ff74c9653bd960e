// Values of callers as native code takes them.
package dev.sphereedge.internal

import dev.sphereedge.Pixels
import dev.sphereedge.SphereEdgeException
import dev.sphereedge.Status
import kotlin.time.Duration

internal fun invalid(message: String, hint: String? = null): SphereEdgeException =
    SphereEdgeException(Status.INVALID_ARGUMENT, message, hint)

/** [value] as UTF-8; half of a surrogate pair, and NUL, at which C would end the text, are refused. */
internal fun utf8(what: String, value: String): ByteArray {
    if ('\u0000' in value) throw invalid("$what contains the NUL character")
    return utf8WithNul(what, value)
}

internal fun utf8WithNul(what: String, value: String): ByteArray = try {
    value.encodeToByteArray(throwOnInvalidSequence = true)
} catch (error: CharacterCodingException) {
    throw SphereEdgeException(Status.INVALID_ARGUMENT, "$what contains half of a surrogate pair", cause = error)
}

/** Names and values of options; what is null keeps the core's default. */
internal class Options {
    private val pairs = ArrayList<ByteArray>()

    fun put(name: String, value: Any?) {
        when (value) {
            null -> return
            is ByteArray -> add(name, value)
            is String -> add(name, utf8("`$name`", value))
            is Float -> if (value.isFinite()) add(name, value.toString().encodeToByteArray()) else throw invalid("`$value` is not a value of `$name`")
            is Duration -> add(name, milliseconds(name, value).toString().encodeToByteArray())
            is Pixels -> add(name, image(value))
            is Boolean, is Int, is Long -> add(name, value.toString().encodeToByteArray())
            else -> error("no such option: $value")
        }
    }

    fun putAll(name: String, values: Iterable<Any>) {
        for (value in values) put(name, value)
    }

    fun toArray(): Array<ByteArray> = pairs.toTypedArray()

    private fun add(name: String, value: ByteArray) {
        pairs += name.encodeToByteArray()
        pairs += value
    }

    /** Its size in front, as options.cpp reads it. */
    private fun image(value: Pixels): ByteArray {
        if (value.channels != 3) throw invalid("an image of a chat has 3 bytes per pixel, not `${value.channels}`")
        return "${value.width}:${value.height}:".encodeToByteArray() + value.bytes
    }

    private fun milliseconds(name: String, value: Duration): Long {
        if (!value.isPositive()) throw invalid("`$value` is not a value of `$name`", "leave it out for no limit")
        // 0 would be no limit.
        return value.inWholeMilliseconds.coerceIn(1, UInt.MAX_VALUE.toLong())
    }
}

internal fun options(put: Options.() -> Unit): Array<ByteArray> = Options().apply(put).toArray()
