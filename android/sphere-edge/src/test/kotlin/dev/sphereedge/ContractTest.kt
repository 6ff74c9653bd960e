// The cases of tests/contract, which every language runs.
package dev.sphereedge

import java.io.File
import kotlin.io.path.createTempDirectory
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import org.junit.Test
import org.junit.runner.RunWith
import org.junit.runners.Parameterized

@RunWith(Parameterized::class)
class ContractTest(@Suppress("unused") private val name: String, private val case: JsonObject) {
    @Test
    fun `does what every library does`() {
        val folder = createTempDirectory("contract").toFile()
        try {
            ContractRunner(case, folder).run()
        } finally {
            folder.deleteRecursively()
        }
    }

    companion object {
        @JvmStatic
        @Parameterized.Parameters(name = "{0}")
        fun cases(): List<Array<Any>> = File(System.getProperty("sphereedge.contract")).walk()
            .filter { it.extension == "json" && it.name != "schema.json" }
            .sorted().toList()
            .flatMap { Json.parseToJsonElement(it.readText()).jsonObject.getValue("cases").jsonArray }
            .map { arrayOf(it.jsonObject.getValue("name").string, it.jsonObject) }
    }
}
