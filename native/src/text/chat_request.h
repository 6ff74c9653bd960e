// What a caller asks of a chat, from OpenAI's JSON to checked values.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"

namespace se {

enum class ToolChoice { none, automatic, required };
enum class Continuation { none, automatic, content, reasoning };

struct ChatRequest {
  // [{"role", "content", …}]: `content` is a string or a list of parts, {"type": "text", "text"} or {"type": "image",
  // "index"}; tool calls have their arguments as text.
  OrderedJson messages = OrderedJson::array();
  // All that the model is told of, as OpenAI has them: [{"type": "function", "function": {…}}].
  OrderedJson tools = OrderedJson::array();
  // Those that it may call now; all of `tools` unless the caller named some.
  OrderedJson allowed_tools = OrderedJson::array();
  // The names of those with `strict`.
  std::set<std::string> strict_tools;
  ToolChoice tool_choice = ToolChoice::automatic;
  bool parallel_tool_calls = true;
  // Images in the messages, in order; and the message of the first one.
  size_t images = 0;
  size_t first_with_image = 0;
  // The schema that the answer follows where it calls no tools; empty: any text.
  std::string json_schema;
  // Unset: as the template has it.
  std::optional<bool> reasoning;
  std::optional<uint32_t> reasoning_budget;
  Continuation continuation = Continuation::none;
  // Variables of the template by name.
  OrderedJson variables = OrderedJson::object();

  bool may_call_tools() const { return !allowed_tools.empty() && tool_choice != ToolChoice::none; }

  // `text`: a list of messages, or an object with `messages` and any of tools, tool_choice, parallel_tool_calls,
  // response_format, reasoning (true, false or the most tokens of it), continue_final_message, chat_template_kwargs.
  // INVALID_ARGUMENT for anything that is not understood; UNSUPPORTED for parts of messages that are neither text nor
  // images.
  static ChatRequest parse(const std::string &text);
};

}  // namespace se
