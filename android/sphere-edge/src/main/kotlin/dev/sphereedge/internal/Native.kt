// All functions in native code, and the one interface through which it calls back.
package dev.sphereedge.internal

/**
 * Receives what the engine produces, on the thread of the call.
 *
 * [receive] returns false to stop the engine. What it throws stops the engine, too, and is thrown by the call.
 */
internal fun interface Receiver {
    fun receive(kind: Int, numbers: DoubleArray, bytes: Array<ByteArray>): Boolean
}

/**
 * Text crosses as UTF-8, options as pairs of name and value, results as events.
 *
 * Every function throws SphereEdgeException. A pointer must be open: [Handle] sees to it. The functions that return an
 * Int return a status, OK or CANCELLED.
 */
internal object Native {
    init {
        System.loadLibrary("sphere_edge_jni")
    }

    external fun version(): ByteArray
    external fun systemInfo(): ByteArray
    external fun modelInfo(path: ByteArray): ByteArray
    external fun setLog(receiver: Receiver?)

    external fun textOpen(path: ByteArray, options: Array<ByteArray>): Long
    external fun textClose(text: Long)
    external fun textCancel(text: Long, callId: Long)
    external fun textInfo(text: Long): ByteArray
    external fun textGenerate(text: Long, prompt: ByteArray, options: Array<ByteArray>, receiver: Receiver): Int
    external fun textGenerateTokens(text: Long, ids: IntArray, options: Array<ByteArray>, receiver: Receiver): Int
    external fun textChat(text: Long, messages: ByteArray, options: Array<ByteArray>, receiver: Receiver): Int
    external fun textCountChat(text: Long, messages: ByteArray, options: Array<ByteArray>): Long
    external fun textRenderChat(text: Long, messages: ByteArray): ByteArray
    external fun textTokenize(text: Long, utf8: ByteArray, addSpecial: Boolean, parseSpecial: Boolean): IntArray
    external fun textDetokenize(text: Long, ids: IntArray, keepSpecial: Boolean): ByteArray
    external fun textEmbed(text: Long, texts: Array<ByteArray>, options: Array<ByteArray>, vectors: FloatArray): DoubleArray
    external fun textSave(text: Long, sequenceKey: ByteArray, path: ByteArray): Long
    external fun textRestore(text: Long, sequenceKey: ByteArray, path: ByteArray): Long
    external fun textScore(text: Long, ids: IntArray): FloatArray
    external fun textReset(text: Long)

    external fun audioOpen(path: ByteArray, options: Array<ByteArray>): Long
    external fun audioClose(audio: Long)
    external fun audioCancel(audio: Long)
    external fun audioInfo(audio: Long): ByteArray
    external fun audioTranscribe(audio: Long, samples: FloatArray, options: Array<ByteArray>, receiver: Receiver): Int
    external fun streamOpen(audio: Long, transcribe: Array<ByteArray>, options: Array<ByteArray>): Long
    external fun streamPush(stream: Long, samples: FloatArray, receiver: Receiver): Int
    external fun streamFinish(stream: Long, receiver: Receiver): Int
    external fun streamClose(stream: Long)

    external fun imageOpen(path: ByteArray, options: Array<ByteArray>): Long
    external fun imageClose(image: Long)
    external fun imageCancel(image: Long)
    external fun imageInfo(image: Long): ByteArray
    external fun imageGenerate(image: Long, prompt: ByteArray, options: Array<ByteArray>, receiver: Receiver): Int
}
