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
rootProject.name = "{{ name }}"
include(":app")
{% if pack %}
include(":weights")
{% endif %}
// The library, as this version of sphere-edge brings it; `sphere-edge sdk android` renews it.
include(":sphere-edge")
project(":sphere-edge").projectDir = file("sphere-edge/android/sphere-edge")
