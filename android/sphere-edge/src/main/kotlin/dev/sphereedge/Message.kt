// A message of a chat.
package dev.sphereedge

import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put

/** A piece of a message. */
public sealed interface Part

/** Text of a message. */
public data class TextPart(val text: String) : Part

/** An image of 3 bytes per pixel, turned as people see it; for models that read images ([TextInfo.readsImages]). */
public data class ImagePart(val pixels: Pixels) : Part

/**
 * A message as OpenAI's chat completions have it: [json] has a `role`, a `content` and whatever else the role has.
 * [images]: one for each part `{"type": "image"}` of the content, in their order.
 */
public data class Message(val json: JsonObject, val images: List<Pixels> = emptyList()) {
    public companion object {
        public fun system(text: String): Message = of("system", JsonPrimitive(text))
        public fun user(text: String): Message = of("user", JsonPrimitive(text))
        public fun assistant(text: String): Message = of("assistant", JsonPrimitive(text))

        /** Text and images in any order. */
        public fun user(vararg parts: Part): Message =
            of("user", JsonArray(parts.map(::json))).copy(images = parts.filterIsInstance<ImagePart>().map { it.pixels })

        /** What the call [toolCallId] returned. */
        public fun tool(toolCallId: String, text: String): Message = Message(
            buildJsonObject {
                put("role", "tool")
                put("tool_call_id", toolCallId)
                put("content", text)
            },
        )

        private fun of(role: String, content: JsonElement) = Message(
            buildJsonObject {
                put("role", role)
                put("content", content)
            },
        )

        private fun json(part: Part) = buildJsonObject {
            when (part) {
                is TextPart -> {
                    put("type", "text")
                    put("text", part.text)
                }
                is ImagePart -> put("type", "image")
            }
        }
    }
}
