// Bundles from the app's assets, and downloads that spare the user's data volume.
package dev.sphereedge.android

import android.content.Context
import android.content.res.AssetManager
import android.net.ConnectivityManager
import dev.sphereedge.BundleSource
import dev.sphereedge.from
import dev.sphereedge.onlyWhile
import java.io.InputStream

/**
 * A bundle among the app's assets, in [folder]; so are those in a pack of Play that is installed with the app.
 *
 * A store copies it to files: the engine maps weights into memory, which Android allows for files only. Assets that are
 * not compressed (`androidResources.noCompress`) are gone on with at once after an interruption.
 */
public class AssetSource(private val assets: AssetManager, private val folder: String) : BundleSource {
    override fun open(path: String, offset: Long): InputStream =
        assets.open("$folder/$path", AssetManager.ACCESS_STREAMING).from(offset)
}

/**
 * The same files, only while the network is not metered, as most Wi-Fi networks are not; what is missing can be fetched
 * later. The app asks for `android.permission.ACCESS_NETWORK_STATE`; the library does not.
 */
public fun BundleSource.onlyUnmetered(context: Context): BundleSource {
    val network = context.getSystemService(ConnectivityManager::class.java)
    return onlyWhile("on a network that is not metered") { network != null && !network.isActiveNetworkMetered }
}
