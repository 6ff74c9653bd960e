// The Kotlin library of sphere-edge; an app includes it as `includeBuild(…/android)` or by its published AAR.
pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}
dependencyResolutionManagement {
    repositoriesMode.set(RepositoriesMode.FAIL_ON_PROJECT_REPOS)
    repositories {
        google()
        mavenCentral()
    }
}
rootProject.name = "sphere-edge-android"
include(":sphere-edge")
