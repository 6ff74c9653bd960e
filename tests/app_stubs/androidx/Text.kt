package androidx.compose.ui.text

import androidx.compose.ui.text.font.FontFamily
import androidx.compose.ui.text.font.FontStyle
import androidx.compose.ui.text.font.FontWeight

class TextStyle

class SpanStyle(
    val fontWeight: FontWeight? = null,
    val fontStyle: FontStyle? = null,
    val fontFamily: FontFamily? = null,
)

class AnnotatedString {
    class Builder(capacity: Int = 16) {
        fun append(text: String): Unit = TODO()
        fun append(text: AnnotatedString): Unit = TODO()
        fun pop(): Unit = TODO()
    }
}

inline fun buildAnnotatedString(builder: AnnotatedString.Builder.() -> Unit): AnnotatedString {
    AnnotatedString.Builder().builder()
    return AnnotatedString()
}

inline fun <R : Any> AnnotatedString.Builder.withStyle(
    style: SpanStyle,
    crossinline block: AnnotatedString.Builder.() -> R,
): R = block()
