// Where the models of the tests lie; tests/integration/test_kotlin.py says it.
package dev.sphereedge

import java.io.File
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive

internal object Models {
    private val places = Json.parseToJsonElement(File(System.getProperty("sphereedge.models")).readText()).jsonObject

    operator fun get(name: String): File = File(places.getValue(name).jsonPrimitive.content)
}
