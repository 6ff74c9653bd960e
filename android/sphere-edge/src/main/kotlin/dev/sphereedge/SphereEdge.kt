// What belongs to no manager: this machine, what a file contains, and the log.
package dev.sphereedge

import dev.sphereedge.internal.Info
import dev.sphereedge.internal.Native
import dev.sphereedge.internal.Reader
import dev.sphereedge.internal.Receiver
import dev.sphereedge.internal.utf8
import java.io.File
import kotlinx.serialization.json.JsonObject

/** How serious a message of the log is. */
public enum class LogLevel { DEBUG, INFO, WARNING, ERROR }

/** What belongs to no manager. */
public object SphereEdge {
    /** The version of the native core. */
    public val version: String get() = Native.version().decodeToString()

    /** This machine and this runtime: version, CPU features, memory in bytes, engines and backends. */
    public fun systemInfo(): JsonObject = Info(Native.systemInfo()).json

    /** What a bundle folder, a .gguf or a whisper.cpp file contains, read without its weights. */
    public fun modelInfo(path: File): JsonObject = Info(Native.modelInfo(utf8("the path", path.path))).json

    /**
     * Passes messages of the engines to [sink], from any thread; null, as at the beginning: nobody. They are one line
     * each, and never contain what users or models said. What [sink] throws is dropped.
     */
    public fun setLog(sink: ((LogLevel, String) -> Unit)?): Unit = Native.setLog(
        sink?.let {
            Receiver { _, numbers, bytes ->
                val from = Reader(numbers, bytes)
                it(LogLevel.entries.getOrElse(from.int()) { LogLevel.ERROR }, from.text())
                true
            }
        },
    )
}
