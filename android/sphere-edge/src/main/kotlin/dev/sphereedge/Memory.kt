// Whether a bundle fits into memory, before it is opened.
package dev.sphereedge

import dev.sphereedge.internal.BundleManifest
import java.io.File

/** The memory in bytes that a bundle needs at its most, and what there is for it. */
public data class Fit(val neededBytes: Long, val availableBytes: Long) {
    public val fits: Boolean get() = neededBytes <= availableBytes
}

/**
 * The memory in bytes that the bundle at [path] needs at its most, as it was predicted when it was packaged: weights, KV
 * cache of one conversation and workspace. Throws NOT_FOUND, MODEL_CORRUPT.
 */
public fun peakBytes(path: File): Long = BundleManifest.of(path).peakBytes
