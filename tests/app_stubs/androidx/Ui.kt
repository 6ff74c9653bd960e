package androidx.compose.ui

interface Modifier {
    companion object : Modifier
}

interface Alignment {
    interface Horizontal
    interface Vertical

    companion object {
        val Center: Alignment get() = TODO()
        val Start: Horizontal get() = TODO()
        val Top: Vertical get() = TODO()
    }
}
