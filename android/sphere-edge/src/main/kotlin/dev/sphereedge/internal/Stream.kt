// The engine's blocking calls as coroutines: flows whose end stops the engine, and calls that return when it has ended.
package dev.sphereedge.internal

import dev.sphereedge.SphereEdgeException
import dev.sphereedge.Status
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.async
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.trySendBlocking
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeoutOrNull

// The engine waits when its reader is this far behind.
private const val ITEMS_WAITING = 16

/** A call whose items somebody reads. */
private class Streaming<Item>(onStop: (Long) -> Unit) : Running(onStop) {
    val items = Channel<Item>(ITEMS_WAITING)

    override fun stop(pointer: Long) {
        // Wakes the engine where it waits for its reader.
        items.cancel()
        super.stop(pointer)
    }

    fun send(item: Item): Boolean = !isStopped && items.trySendBlocking(item).isSuccess
}

/**
 * A cold flow of what [call] sends. [decode] makes an item of an event, or null for one that nobody needs; items for
 * which [isLast] still come after a cancel. [onStop] makes the call end.
 */
internal fun <Item : Any> Handle.stream(
    onStop: (Long) -> Unit,
    isLast: (Item) -> Boolean,
    decode: (Int, DoubleArray, Array<ByteArray>) -> Item?,
    call: (Long, Receiver) -> Unit,
): Flow<Item> = flow {
    val streaming = Streaming<Item>(onStop)
    val receiver = Receiver { kind, numbers, bytes ->
        val item = decode(kind, numbers, bytes)
        when {
            item == null -> !streaming.isStopped && !streaming.isCancelled
            isLast(item) -> streaming.send(item)
            else -> !streaming.isCancelled && streaming.send(item)
        }
    }
    coroutineScope {
        val engine = async(Dispatchers.IO) {
            val outcome = runCatching { use(streaming) { pointer -> call(pointer, receiver) } }
            streaming.items.close()
            outcome
        }
        try {
            while (true) {
                val next = streaming.items.receiveCatching()
                if (next.isClosed) {
                    // With a cause only by `close` of the model: the reader goes on, and has to know.
                    if (next.exceptionOrNull() != null) throw wasClosed()
                    break
                }
                emit(next.getOrThrow())
            }
            engine.await().getOrThrow()
        } finally {
            ended(streaming, engine)
        }
    }
}

/** Runs [call] away from the caller's thread; ends it when the caller is cancelled, and returns when it has ended. */
internal suspend fun <T> Handle.call(onStop: (Long) -> Unit = {}, call: (Long) -> T): T = coroutineScope {
    val running = Running(onStop)
    val engine = async(Dispatchers.IO) { runCatching { use(running, call) } }
    try {
        engine.await()
    } finally {
        ended(running, engine)
    }
}.getOrThrow()

/** Opens with [open] away from the caller's thread; a caller who was cancelled meanwhile leaves nothing open. */
internal suspend fun <M : AutoCloseable> opened(open: () -> M): M {
    val manager = withContext(NonCancellable + Dispatchers.IO) { open() }
    try {
        currentCoroutineContext().ensureActive()
    } catch (error: CancellationException) {
        withContext(NonCancellable + Dispatchers.IO) { manager.close() }
        throw error
    }
    return manager
}

private suspend fun Handle.ended(running: Running, engine: Deferred<*>) = withContext(NonCancellable) {
    while (!engine.isCompleted) {
        // A cancel that comes before the engine's call has begun does nothing: repeat it.
        stop(running)
        withTimeoutOrNull(Handle.STEP_MS) { engine.join() }
    }
}

private fun wasClosed() = SphereEdgeException(Status.CANCELLED, "the model was closed while it was at work")
