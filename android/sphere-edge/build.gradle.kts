// The library: Kotlin, and the native core behind it.
plugins {
    alias(libs.plugins.android.library)
    alias(libs.plugins.kotlin.serialization)
}

// Where `sphere-edge runtime build` or `sphere-edge sdk android` put libsphere_edge.so: PREBUILT/arm64-v8a/. A relative
// path begins at the project that includes the library.
val prebuilt: String? = providers.gradleProperty("sphereEdge.prebuilt").orNull?.let { rootProject.file(it).path }
// Sources and engines for compiling native/ here instead: see native/CMakeLists.txt.
val nativeArguments: List<String> = providers.gradleProperty("sphereEdge.cmake").orNull?.split(' ') ?: emptyList()

android {
    namespace = "dev.sphereedge"
    compileSdk = 37
    ndkVersion = "28.2.13676358"

    defaultConfig {
        minSdk = 28
        consumerProguardFiles("consumer-rules.pro")
        ndk { abiFilters += "arm64-v8a" }
        externalNativeBuild {
            cmake {
                arguments += listOf("-DANDROID_STL=c++_static") + nativeArguments
                if (prebuilt != null) arguments += "-DSPHERE_EDGE_PREBUILT=$prebuilt"
            }
        }
    }
    externalNativeBuild { cmake { path = file("src/main/cpp/CMakeLists.txt") } }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

kotlin {
    explicitApi()
    compilerOptions { allWarningsAsErrors.set(true) }
}

dependencies {
    api(libs.coroutines.core)
    api(libs.serialization.json)
}
