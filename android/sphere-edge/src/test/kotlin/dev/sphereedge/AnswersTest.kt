// Answers follow the schemas of classes, and tools are called.
package dev.sphereedge

import kotlinx.coroutines.runBlocking
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonPrimitive
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

@Serializable
internal enum class Colour { @SerialName("green") GREEN }

@Serializable
internal data class Fox(
    @Guide(description = "its name", choices = ["Füchslein 🦊"]) val name: String,
    @Guide(minimum = 3, maximum = 3) val age: Int,
    val colour: Colour,
    @Guide(minItems = 2, maxItems = 2) val flags: List<Boolean>,
    val mother: Den? = null,
)

@Serializable
internal data class Den(val deep: Boolean)

@Serializable
internal sealed interface Shape {
    @Serializable
    @SerialName("circle")
    data class Circle(val filled: Boolean) : Shape
}

@Serializable
internal data class Node(val next: Node? = null)

@Serializable
internal data class Weather(@Guide(choices = ["Paris"]) val city: String)

@Serializable
internal data class Village(@Guide(choices = ["Paris"]) val name: String) {
    init {
        require(name != "Paris") { "a town" }
    }
}

class AnswersTest {
    private val greedy = TextRequest(temperature = 0f)
    private val hi = listOf(Message.user("Hi"))

    private fun <T> withModel(work: suspend (TextManager) -> T): T =
        runBlocking { TextManager.open(Models["text"], TextOpenOptions(threads = 1)) }.use { runBlocking { work(it) } }

    @Test
    fun `an answer is a value of a class`(): Unit = withModel { text ->
        val fox = text.chat(hi, Fox.serializer(), greedy)
        assertEquals("Füchslein 🦊", fox.name)
        assertEquals(3, fox.age)
        assertEquals(2, fox.flags.size)
        assertTrue(text.chat(hi, Shape.serializer(), greedy) is Shape.Circle)
    }

    @Test
    fun `an answer that was cut off says so`(): Unit = withModel { text ->
        val thrown = runCatching { text.chat(hi, Fox.serializer(), greedy.copy(maxTokens = 3)) }.exceptionOrNull()
        assertEquals(Status.INVALID_ARGUMENT, (thrown as SphereEdgeException).status)
        assertTrue(thrown.message!!, "cut off" in thrown.message!!)
    }

    @Test
    fun `an answer that the class does not take is the caller's`(): Unit = withModel { text ->
        val thrown = runCatching { text.chat(hi, Village.serializer(), greedy) }.exceptionOrNull() as SphereEdgeException
        assertEquals(Status.INVALID_ARGUMENT, thrown.status)
        assertEquals("a town", thrown.cause?.message)
    }

    @Test
    fun `what has no schema is refused by name`() {
        val thrown = assertThrows(SphereEdgeException::class.java) { Schema.of(Node.serializer().descriptor) }
        assertEquals(Status.UNSUPPORTED, thrown.status)
        assertTrue(thrown.message!!, "Node" in thrown.message!!)
    }

    @Test
    fun `a schema says what a class holds`() {
        val expected = """{"type":"object","properties":{"city":{"enum":["Paris"]}},"required":["city"],"additionalProperties":false}"""
        assertEquals(Json.parseToJsonElement(expected), Schema.of(Weather.serializer().descriptor))
    }

    @Test
    fun `a tool is called, and the chat goes on with what it said`(): Unit = withModel { text ->
        val asked = ArrayList<String>()
        val weather = Tool.of("weather", "the weather in a city", Weather.serializer()) { asked += it.city; "sunny" }
        val must = ChatOptions(toolChoice = JsonPrimitive("required"), parallelToolCalls = false)
        val done = text.chat(hi, listOf(weather), rounds = 1, request = greedy, options = must)
        assertEquals(listOf("Paris"), asked)
        assertEquals(listOf("user", "assistant", "tool", "assistant"), done.messages.map { it.json.getValue("role").string })
        assertTrue(done.answer.toolCalls.isEmpty())
    }

    @Test
    fun `what a tool throws ends the chat`(): Unit = withModel { text ->
        val broken = Tool.of("weather", "the weather in a city", Weather.serializer()) { error("no forecast") }
        val must = ChatOptions(toolChoice = JsonPrimitive("required"))
        val thrown = runCatching { text.chat(hi, listOf(broken), request = greedy, options = must) }.exceptionOrNull()
        assertEquals("no forecast", thrown?.message)
        assertEquals(2, text.generate("Hi", greedy.copy(maxTokens = 2, ignoreEndOfText = true)).answer().result.completionTokens)
    }
}
