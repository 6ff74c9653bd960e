// The one exception of the library, with a code for each reaction to it.
package dev.sphereedge

/** Status codes of sphere_edge.h, the same in C, Python and Swift; new ones are added at the end only. */
public enum class Status {
    OK,
    OOM_VRAM,
    OOM_RAM,

    /** A file is damaged, cut off or contradicts itself. */
    MODEL_CORRUPT,
    TIMEOUT,
    CANCELLED,

    /** Understood, but not done by this library. */
    UNSUPPORTED,

    /** A bug in sphere-edge. */
    INTERNAL,

    /** Made for another runtime, CPU, schema or manager. */
    FORMAT_MISMATCH,
    LOAD_FAILED,
    INVALID_ARGUMENT,
    NOT_FOUND,
    STORAGE,
    UNAVAILABLE,

    /** No trusted key has signed the bundle. */
    UNTRUSTED,
    ;

    internal companion object {
        /** A code that only a newer core knows is INTERNAL. */
        fun of(code: Int): Status = entries.getOrElse(code) { INTERNAL }
    }
}

/**
 * What happened ([message], one sentence with the value in backticks), what the user can do ([hint], null where there
 * is no advice) and the [status].
 */
public class SphereEdgeException internal constructor(
    public val status: Status,
    message: String,
    public val hint: String? = null,
    cause: Throwable? = null,
) : RuntimeException(message, cause) {
    /** Called by native code, which has text as UTF-8. */
    @Suppress("unused")
    internal constructor(code: Int, message: ByteArray, hint: ByteArray) :
        this(Status.of(code), message.decodeToString(), hint.decodeToString().ifEmpty { null })
}
