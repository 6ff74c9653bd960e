// The app's bundles, and what every screen does with its model: copied from the assets at the first start, opened when
// it is needed, given back when memory is short.
package {{ package }}

import android.app.Application
import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.setValue
import androidx.lifecycle.AndroidViewModel
import androidx.lifecycle.viewModelScope
import dev.sphereedge.BundleStore
import dev.sphereedge.SphereEdgeException
import dev.sphereedge.android.AssetSource
import dev.sphereedge.android.ReleaseInBackground
import java.io.File
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.launch
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock

/** A bundle of this app; [id] changes with every byte of it. */
class AppBundle(val name: String, val id: String, val hasCode: Boolean) {
    /** Of another version of the bundle, another name: its code is another one, too. */
    val installedName: String = "${name.take(80)}.${id.take(12)}"
}

val BUNDLES: List<AppBundle> = listOf(
{% for one in bundles %}
    AppBundle("{{ one.name }}", "{{ one.id }}", hasCode = {{ "true" if one.code else "false" }}),
{% endfor %}
)

/** Where a model is opened from: its [bundle], its compiled [code] if it has any, and a [cache] for kernels of GPUs. */
class Folders(val bundle: File, val code: File?, val cache: File)

/** The model of the bundle [name], which [open] opens; lives on when the screen is turned. */
abstract class OpenedModel<M : AutoCloseable>(
    application: Application,
    name: String,
    private val open: suspend (Folders) -> M,
) : AndroidViewModel(application) {
    private val bundle = BUNDLES.first { it.name == name }
    private val store = BundleStore(File(application.filesDir, "bundles"))
    private val assets = AssetSource(application.assets, "bundles/$name")
    private val code = File(application.applicationInfo.nativeLibraryDir).takeIf { bundle.hasCode }
    private val cache = File(application.cacheDir, "kernels")
    private val opening = Mutex()
    private val memory = ReleaseInBackground { release() }
    private var manager: M? = null

    @Volatile
    private var running: Job? = null

    /** What the screen shows while it waits, and what went wrong; null: neither. */
    var waiting: String? by mutableStateOf("…")
        protected set
    var isRunning by mutableStateOf(false)
        private set

    init {
        application.registerComponentCallbacks(memory)
        viewModelScope.launch { guarded { opened() } }
    }

    /** Ends what runs; what has come of it stays. */
    fun stop() {
        running?.cancel()
    }

    /** Runs [task] with the open model unless something runs. */
    protected fun start(task: suspend (M) -> Unit) {
        if (isRunning) return
        isRunning = true
        waiting = null
        running = viewModelScope.launch {
            try {
                guarded { task(opened()) }
            } finally {
                isRunning = false
            }
        }
    }

    private suspend fun guarded(task: suspend () -> Unit) {
        try {
            task()
        } catch (error: SphereEdgeException) {
            waiting = listOfNotNull(error.message, error.hint).joinToString("\n")
        }
    }

    private suspend fun opened(): M = opening.withLock {
        manager ?: open(Folders(installed(), code, cache)).also {
            manager = it
            waiting = null
        }
    }

    /** The folder of the bundle, which is copied there first if need be. */
    private suspend fun installed(): File {
        val current = BUNDLES.map { it.installedName }
        store.names().filter { it !in current }.forEach { store.remove(it) }
        store.install(bundle.installedName, assets, bundle.id)
            .collect { waiting = "copying the model: ${it.doneBytes * 100 / maxOf(it.totalBytes, 1)} %" }
        waiting = "opening the model"
        return checkNotNull(store.bundle(bundle.installedName))
    }

    /** Frees the memory, away from the main thread; what is started next opens the model again. */
    private suspend fun release() {
        stop()
        opening.withLock {
            manager?.close()
            manager = null
        }
    }

    override fun onCleared() {
        getApplication<Application>().unregisterComponentCallbacks(memory)
        CoroutineScope(Dispatchers.IO).launch { release() }
    }
}
