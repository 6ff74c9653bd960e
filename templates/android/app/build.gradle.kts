plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.compose)
}

android {
    namespace = "{{ package }}"
    compileSdk = 37
    ndkVersion = "28.2.13676358"

    defaultConfig {
        applicationId = "{{ package }}"
        minSdk = 28
        targetSdk = 37
        versionCode = 1
        versionName = "1.0"
        ndk { abiFilters += "{{ abi }}" }
    }
    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"), "proguard-rules.pro")
        }
    }
    buildFeatures { compose = true }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    // Weights do not get smaller, and would have to be unpacked before they are copied.
    androidResources { noCompress += listOf("gguf", "bin", "safetensors") }
{% if code %}
    // Compiled models are opened by their path and compared with their hash: they must be files, not parts of the APK.
    packaging { jniLibs { useLegacyPackaging = true } }
    // As they were compiled: stripped, they would have another hash.
    packaging { jniLibs { keepDebugSymbols += "**/libmodel*.so" } }
{% endif %}
{% if pack %}
    assetPacks += ":weights"
{% endif %}
}

dependencies {
    implementation(project(":sphere-edge"))
    implementation(platform(libs.compose.bom))
    implementation(libs.compose.material3)
    implementation(libs.compose.ui)
    implementation(libs.activity.compose)
    implementation(libs.lifecycle.viewmodel)
    implementation(libs.coroutines.android)
}
