// The app's bundles: copied from its assets at the first start, opened when their screen is.
package {{ package }}

import android.app.Application
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.setValue
import androidx.lifecycle.AndroidViewModel
import dev.sphereedge.BundleStore
import java.io.EOFException
import java.io.File
import java.io.InputStream

/** A bundle of this app; [id] changes with every byte of it. */
class AppBundle(val name: String, val id: String, val hasCode: Boolean) {
    /** Of another version of the bundle, another name. */
    val installedName: String = "${name.take(80)}.${id.take(12)}"
}

val BUNDLES: List<AppBundle> = listOf(
{% for one in bundles %}
    AppBundle("{{ one.name }}", "{{ one.id }}", hasCode = {{ "true" if one.code else "false" }}),
{% endfor %}
)

open class Models(application: Application) : AndroidViewModel(application) {
    private val store = BundleStore(File(application.filesDir, "bundles"))
    private val assets = application.assets
    private val nativeLibraries = File(application.applicationInfo.nativeLibraryDir)

    /** What the screen shows while it waits; null: the model can be used. */
    var waiting: String? by mutableStateOf("…")
        protected set

    protected fun described(name: String): AppBundle = BUNDLES.first { it.name == name }

    /** Where the code of a compiled model lies. */
    protected fun codeFolder(name: String): File? = nativeLibraries.takeIf { described(name).hasCode }

    /** The folder of the bundle [name], which is copied there first if need be. */
    protected suspend fun installed(name: String): File {
        val bundle = described(name)
        val current = BUNDLES.map { it.installedName }
        store.names().filter { it !in current }.forEach { store.remove(it) }
        store.install(bundle.installedName, { path, offset -> asset("bundles/$name/$path", offset) }, bundle.id)
            .collect { waiting = "copying the model: ${it.doneBytes * 100 / maxOf(it.totalBytes, 1)} %" }
        waiting = "opening the model"
        return checkNotNull(store.bundle(bundle.installedName))
    }

    private fun asset(path: String, offset: Long): InputStream {
        val stream = assets.open(path)
        var left = offset
        while (left > 0) {
            val skipped = stream.skip(left)
            if (skipped <= 0) throw EOFException(path)
            left -= skipped
        }
        return stream
    }
}
