package androidx.lifecycle

import android.app.Application
import kotlinx.coroutines.CoroutineScope

abstract class ViewModel {
    protected open fun onCleared() {}
}

val ViewModel.viewModelScope: CoroutineScope get() = TODO()

open class AndroidViewModel(private val application: Application) : ViewModel() {
    open fun <T : Application> getApplication(): T = TODO()
}

class ViewModelProvider {
    interface Factory
}
