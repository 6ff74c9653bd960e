// Reads an event of native code, value by value.
package dev.sphereedge.internal

internal class Reader(private val numbers: DoubleArray, private val parts: Array<ByteArray>) {
    private var number = 0
    private var part = 0

    val hasNumbers: Boolean get() = number < numbers.size

    fun double(): Double = numbers[number++]
    fun float(): Float = double().toFloat()
    fun int(): Int = double().toInt()
    fun long(): Long = double().toLong()
    fun bytes(): ByteArray = parts[part++]

    /** Bytes that are not UTF-8 become U+FFFD. */
    fun text(): String = bytes().decodeToString()
}
