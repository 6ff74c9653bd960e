// A message of a chat.
package dev.sphereedge

import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put

/** A message as OpenAI's chat completions have it: [json] has a `role`, a `content` and whatever else the role has. */
public data class Message(val json: JsonObject) {
    public companion object {
        public fun system(text: String): Message = of("system", text)
        public fun user(text: String): Message = of("user", text)
        public fun assistant(text: String): Message = of("assistant", text)

        /** What the call [toolCallId] returned. */
        public fun tool(toolCallId: String, text: String): Message = Message(
            buildJsonObject {
                put("role", "tool")
                put("tool_call_id", toolCallId)
                put("content", text)
            },
        )

        private fun of(role: String, text: String) = Message(
            buildJsonObject {
                put("role", role)
                put("content", text)
            },
        )
    }
}
