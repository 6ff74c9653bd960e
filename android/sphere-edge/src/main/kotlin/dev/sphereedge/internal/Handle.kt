// An open model: who may use it, and when it is freed.
package dev.sphereedge.internal

import dev.sphereedge.SphereEdgeException
import java.util.concurrent.TimeUnit
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

/** A call that runs; [onStop] makes it end soon, and may be called again. */
internal open class Running(private val onStop: (Long) -> Unit) {
    /** Asked to end, and nobody reads any more. */
    @Volatile
    var isStopped: Boolean = false
        private set

    /** Asked to end; what is there is read. */
    @Volatile
    var isCancelled: Boolean = false

    open fun stop(pointer: Long) {
        isStopped = true
        onStop(pointer)
    }
}

/** Something that lives in an open model, freed once: by itself, or by the model before that is. */
internal class Owned(private val handle: Handle, private val free: () -> Unit) {
    private var isFreed = false

    fun close() = handle.release(this)

    /** With the handle's lock. */
    internal fun freeOnce() {
        if (!isFreed) free()
        isFreed = true
    }
}

/** Owns [pointer]. Each of [cancel] and [free] is a function of the core. */
internal class Handle(
    private val pointer: Long,
    private val cancel: (Long) -> Unit,
    private val free: (Long) -> Unit,
    private val isShared: Boolean = false,
) {
    private val lock = ReentrantLock()
    private val changed = lock.newCondition()
    private val running = LinkedHashSet<Running>()
    private val parts = LinkedHashSet<Owned>()
    private var isClosed = false
    private var isFreed = false

    /** Runs [block] with the pointer, which stays open as long as it runs. Throws where it may not run. */
    fun <T> use(call: Running, block: (Long) -> T): T {
        lock.withLock {
            if (isClosed) throw closed()
            if (!isShared && running.isNotEmpty()) {
                throw invalid("the model is at work: one call at a time", "wait for the call that runs, or cancel it")
            }
            running += call
        }
        try {
            return block(pointer)
        } finally {
            lock.withLock {
                running -= call
                changed.signalAll()
            }
        }
    }

    /** Has [free] called once: by [Owned.close], or before the model is freed. For use inside [use]. */
    fun own(free: () -> Unit): Owned = lock.withLock { Owned(this, free).also { parts += it } }

    fun release(owned: Owned): Unit = lock.withLock {
        owned.freeOnce()
        parts -= owned
    }

    /** Ends the calls that run soon; they end as cancelled. Does nothing where none runs. Any thread. */
    fun cancel(): Unit = lock.withLock {
        if (isFreed) return
        running.forEach { it.isCancelled = true }
        cancel(pointer)
    }

    /** Ends [call] soon, whose reader has gone. */
    fun stop(call: Running): Unit = lock.withLock {
        if (!isFreed) call.stop(pointer)
    }

    /** Ends the calls that run, waits for them, and frees the model; the second time only waits. */
    fun close() {
        var wasInterrupted = false
        lock.withLock {
            val isFirst = !isClosed
            isClosed = true
            while (if (isFirst) running.isNotEmpty() else !isFreed) {
                // A cancel that comes before the engine's call has begun does nothing: repeat it.
                running.forEach { it.stop(pointer) }
                try {
                    changed.await(STEP_MS, TimeUnit.MILLISECONDS)
                } catch (_: InterruptedException) {
                    wasInterrupted = true
                }
            }
            if (isFirst) {
                parts.forEach { it.freeOnce() }
                parts.clear()
                free(pointer)
                isFreed = true
                changed.signalAll()
            }
        }
        if (wasInterrupted) Thread.currentThread().interrupt()
    }

    companion object {
        const val STEP_MS: Long = 20

        fun closed(): SphereEdgeException = invalid("the model has been closed", "open it again")
    }
}
