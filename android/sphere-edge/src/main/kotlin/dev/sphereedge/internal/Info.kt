// The JSON in which the core describes an open model.
package dev.sphereedge.internal

import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.double
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.long

internal class Info(document: ByteArray) {
    val json: JsonObject = Json.parseToJsonElement(document.decodeToString()).jsonObject

    fun text(name: String): String = value(name).content
    fun int(name: String): Int = value(name).int
    fun long(name: String): Long = value(name).long
    fun double(name: String): Double = value(name).double
    fun boolean(name: String): Boolean = value(name).boolean

    private fun value(name: String) = json.getValue(name).jsonPrimitive
}
