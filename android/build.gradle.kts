// AGP 9 has Kotlin built in: the Kotlin plugin for Android is not applied.
plugins {
    alias(libs.plugins.android.library) apply false
    alias(libs.plugins.kotlin.serialization) apply false
}
