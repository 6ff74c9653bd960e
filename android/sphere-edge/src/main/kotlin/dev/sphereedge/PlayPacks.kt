// Bundles in packs that Play delivers after the app, without Play's library in this one.
package dev.sphereedge

import java.io.File
import kotlinx.coroutines.flow.Flow

/**
 * What is needed of Play's `AiPackManager` or `AssetPackManager`; an app that has one implements it in a few lines, which
 * docs/android.md shows.
 */
public interface PlayPacks {
    /** The folder with the assets of [pack], `getPackLocation(pack)?.assetsPath()`; null: Play has not delivered it. */
    public fun assetsFolder(pack: String): File?

    /** Asks Play for [pack], emits how far it is, and ends when it is there. */
    public fun fetch(pack: String): Flow<BundleProgress>
}

/**
 * The bundle [name] in [pack], opened where Play has put it, without a copy; null: it is not there yet, see [PlayPacks.fetch].
 *
 * [folder] is the bundles' folder among the pack's assets. A pack that is installed with the app is read from the app's
 * assets instead, by `AssetSource`.
 */
public fun PlayPacks.bundle(pack: String, name: String, folder: String = "bundles"): File? =
    assetsFolder(pack)?.let { File(it, "$folder/$name") }?.takeIf { File(it, "bundle.json").isFile }
