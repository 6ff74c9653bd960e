package androidx.compose.ui.text.font

sealed class FontFamily {
    companion object {
        val Monospace: FontFamily get() = TODO()
    }
}

class FontWeight(val weight: Int) {
    companion object {
        val Bold: FontWeight get() = TODO()
    }
}

@JvmInline
value class FontStyle(val value: Int) {
    companion object {
        val Italic: FontStyle get() = TODO()
    }
}
