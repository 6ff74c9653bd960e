// AGP 9 has Kotlin built in: the Kotlin plugin for Android is not applied.
plugins {
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.android.library) apply false
{% if pack %}
    alias(libs.plugins.android.ai.pack) apply false
{% endif %}
    alias(libs.plugins.kotlin.compose) apply false
    alias(libs.plugins.kotlin.serialization) apply false
}
