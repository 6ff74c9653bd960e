// Fits messages to a template.
#include "text/chat_messages.h"

#include <utility>

#include "base/status.h"
#include "text/tool_messages.h"

namespace se {
namespace {

// Templates look for the ends of reasoning in answers, so such marks of the model's own stay what they are.
constexpr std::string_view kInAnswers = "think";

OrderedJson parsed_arguments(const OrderedJson &arguments) {
  return OrderedJson::parse(arguments.get_ref<const std::string &>(), nullptr, false);
}

// Arguments are JSON in a string. Only what has a special token in it is written anew.
void mark_arguments(OrderedJson &arguments, const InputMarks &marks) {
  const OrderedJson parsed = parsed_arguments(arguments);
  if (parsed.is_discarded()) {
    marks.mark(arguments);
    return;
  }
  OrderedJson marked = parsed;
  marks.mark(marked);
  if (marked != parsed) arguments = marked.dump();
}

void mark_message(OrderedJson &message, const InputMarks &marks) {
  const std::string_view except = message["role"] == "assistant" ? kInAnswers : std::string_view();
  for (const auto &[key, value] : message.items()) {
    if (key != "role" && key != "tool_calls") marks.mark(value, except);
  }
  if (!message.contains("tool_calls")) return;
  for (OrderedJson &call : message["tool_calls"]) {
    if (call.contains("id")) marks.mark(call["id"]);
    marks.mark(call["function"]["name"]);
    mark_arguments(call["function"]["arguments"], marks);
  }
}

// Images become text that InputMarks::pieces finds again: whichever words a template has for an image, the image
// encoder frames it itself.
void place_images(OrderedJson &content) {
  if (!content.is_array()) return;
  for (OrderedJson &part : content) {
    if (part.contains("index")) {
      part = {{"type", "text"}, {"text", InputMarks::image(part["index"].get<size_t>())}, {"is_image", true}};
    }
  }
}

void fit_content(OrderedJson &content, const TemplateAbilities &abilities) {
  if (abilities.takes_text && !abilities.takes_parts) content = text_of_content(content);
  if (content.is_array()) {
    for (OrderedJson &part : content) part.erase("is_image");
  }
  if (abilities.takes_parts && !abilities.takes_text && content.is_string()) {
    const OrderedJson part = {{"type", "text"}, {"text", content}};
    content = OrderedJson::array({part});
  }
}

void parse_arguments(OrderedJson &message) {
  if (!message.contains("tool_calls")) return;
  for (OrderedJson &call : message["tool_calls"]) {
    OrderedJson &arguments = call["function"]["arguments"];
    const OrderedJson parsed = parsed_arguments(arguments);
    require(parsed.is_object(),
            "the arguments of a tool call are not a JSON object: " + ticked(arguments.get<std::string>()));
    arguments = parsed;
  }
}

// A system message becomes the beginning of the message that follows it.
void merge_system_message(OrderedJson &messages) {
  if (messages.front()["role"] != "system") return;
  if (messages.size() == 1) {
    messages.front()["role"] = "user";
    return;
  }
  OrderedJson &next = messages[1]["content"];
  next = text_of_content(messages.front()["content"]) + "\n" + text_of_content(next);
  messages.erase(messages.begin());
}

}  // namespace

OrderedJson template_messages(const ChatRequest &request, const TemplateAbilities &abilities, const InputMarks &marks) {
  OrderedJson messages = request.messages;
  for (OrderedJson &message : messages) {
    mark_message(message, marks);
    place_images(message["content"]);
    if (message["role"] == "developer" && !abilities.has_developer_role) message["role"] = "system";
  }
  const bool writes_tools = abilities.tools == ToolFormat::of_template || abilities.tools == ToolFormat::function_gemma;
  if (!writes_tools) messages = with_tools_as_text(std::move(messages), request.tools, {abilities.tools, marks});
  if (!abilities.has_system_role) merge_system_message(messages);
  for (OrderedJson &message : messages) {
    if (abilities.takes_json_values) parse_arguments(message);
    fit_content(message["content"], abilities);
  }
  if (abilities.tools == ToolFormat::function_gemma) fit_function_gemma(messages, !request.tools.empty());
  return messages;
}

}  // namespace se
