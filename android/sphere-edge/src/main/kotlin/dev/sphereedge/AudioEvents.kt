// What comes while speech is transcribed.
package dev.sphereedge

import dev.sphereedge.internal.Reader

/** [Segment]s and [AudioProgress], any number of times, and at the end one [TranscriptionResult]. */
public sealed interface AudioEvent

/** The fraction of the audio that is [done], 0 to 1. */
public data class AudioProgress(val done: Float) : AudioEvent

/** A word of a segment; [probability] is the mean of its tokens'. */
public data class Word(val startMs: Long, val endMs: Long, val text: String, val probability: Float)

/** A token of a segment; bytes in [text] that alone are not UTF-8 are U+FFFD. */
public data class Token(val id: Int, val text: String, val probability: Float)

/** A phrase or a sentence; [text] begins with the space before it. [words] only with `wordTimestamps`. */
public data class Segment(
    val startMs: Long,
    val endMs: Long,
    val text: String,
    val language: String,
    val probability: Float,
    val noSpeechProbability: Float,
    val words: List<Word> = emptyList(),
    val tokens: List<Token> = emptyList(),
) : AudioEvent

/** A segment of live audio: one that is not final is replaced by the next. */
public data class LiveSegment(val segment: Segment, val isFinal: Boolean)

/** How it went; [languageProbability] is 1 if the caller named the language. */
public data class TranscriptionResult(
    val language: String,
    val languageProbability: Float,
    val audioSeconds: Double,
    val firstSegmentSeconds: Double,
    val totalSeconds: Double,
    val encodeSeconds: Double,
    val decodeSeconds: Double,
) : AudioEvent

private const val SEGMENT = 20
private const val SEGMENT_FINAL = 21
private const val PROGRESS = 22
private const val RESULT = 23

/** In the order of events.cpp; null for a kind that only a newer core knows. */
internal fun audioEvent(kind: Int, numbers: DoubleArray, bytes: Array<ByteArray>): AudioEvent? {
    val from = Reader(numbers, bytes)
    return when (kind) {
        SEGMENT, SEGMENT_FINAL -> segment(from)
        PROGRESS -> AudioProgress(from.float())
        RESULT -> TranscriptionResult(from.text(), from.float(), from.double(), from.double(), from.double(), from.double(), from.double())
        else -> null
    }
}

/** A live stream sends nothing but segments. */
internal fun liveSegment(kind: Int, numbers: DoubleArray, bytes: Array<ByteArray>) =
    LiveSegment(segment(Reader(numbers, bytes)), kind == SEGMENT_FINAL)

private fun segment(from: Reader): Segment {
    val text = from.text()
    val language = from.text()
    val start = from.long()
    val end = from.long()
    val probability = from.float()
    val noSpeech = from.float()
    val words = from.int()
    val tokens = from.int()
    return Segment(
        start, end, text, language, probability, noSpeech,
        words = List(words) { Word(from.long(), from.long(), from.text(), from.float()) },
        tokens = List(tokens) { Token(from.int(), from.text(), from.float()) },
    )
}
