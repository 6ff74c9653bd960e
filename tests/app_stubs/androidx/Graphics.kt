package androidx.compose.ui.graphics

interface ImageBitmap

fun android.graphics.Bitmap.asImageBitmap(): ImageBitmap = TODO()
