// Android's images as the library's pixels, and back.
package dev.sphereedge.android

import android.graphics.Bitmap
import dev.sphereedge.ImagePart
import dev.sphereedge.Pixels
import dev.sphereedge.internal.invalid

/**
 * This bitmap for a message ([ImagePart]) or as the beginning of a generated image; what is transparent is put on white.
 * `ImageDecoder` makes bitmaps of files, turns them as their EXIF data say, and makes them smaller where told so.
 */
public fun Bitmap.toPixels(): Pixels {
    // Those in the GPU's memory cannot be read.
    val readable = if (config == Bitmap.Config.HARDWARE) copy(Bitmap.Config.ARGB_8888, false) else this
    if (readable == null) throw invalid("the bitmap cannot be copied from the GPU")
    val argb = IntArray(width * height)
    readable.getPixels(argb, 0, width, 0, 0, width, height)
    return Pixels.ofArgb(argb, width, height)
}

/** For the screen. */
public fun Pixels.toBitmap(): Bitmap = Bitmap.createBitmap(argb(), width, height, Bitmap.Config.ARGB_8888)
