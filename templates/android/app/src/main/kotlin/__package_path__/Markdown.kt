// Markdown as models write it: headings, lists, bold, italics and code; anything else stays as it is.
package {{ package }}

import androidx.compose.ui.text.AnnotatedString
import androidx.compose.ui.text.SpanStyle
import androidx.compose.ui.text.buildAnnotatedString
import androidx.compose.ui.text.font.FontFamily
import androidx.compose.ui.text.font.FontStyle
import androidx.compose.ui.text.font.FontWeight
import androidx.compose.ui.text.withStyle

private val HEADING = Regex("^#{1,6} +")
private val BULLET = Regex("^( *)[-*] +")
private val SPAN = Regex("`([^`]+)`|\\*\\*([^*]+)\\*\\*|\\*([^*\\s][^*]*)\\*")
private val CODE = SpanStyle(fontFamily = FontFamily.Monospace)
private val BOLD = SpanStyle(fontWeight = FontWeight.Bold)
private val ITALIC = SpanStyle(fontStyle = FontStyle.Italic)

fun markdown(text: String): AnnotatedString = buildAnnotatedString {
    var inCode = false
    for ((index, line) in text.lines().withIndex()) {
        if (line.trimStart().startsWith("```")) {
            inCode = !inCode
            continue
        }
        if (index > 0) append("\n")
        val heading = HEADING.find(line)
        when {
            inCode -> withStyle(CODE) { append(line) }
            heading != null -> withStyle(BOLD) { append(line.substring(heading.value.length)) }
            else -> append(spans(BULLET.replace(line) { "${it.groupValues[1]}• " }))
        }
    }
}

private fun spans(line: String): AnnotatedString = buildAnnotatedString {
    var end = 0
    for (match in SPAN.findAll(line)) {
        append(line.substring(end, match.range.first))
        val (code, bold, italic) = match.destructured
        when {
            code.isNotEmpty() -> withStyle(CODE) { append(code) }
            bold.isNotEmpty() -> withStyle(BOLD) { append(bold) }
            else -> withStyle(ITALIC) { append(italic) }
        }
        end = match.range.last + 1
    }
    append(line.substring(end))
}
