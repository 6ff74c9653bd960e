// Fits messages to a template.
#include "text/chat_messages.h"

#include <utility>

#include "base/status.h"

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

std::string text_of_content(const OrderedJson &content) {
  if (content.is_string()) return content.get<std::string>();
  std::string text;
  for (const OrderedJson &part : content) text += (text.empty() ? "" : "\n") + part["text"].get<std::string>();
  return text;
}

void fit_content(OrderedJson &content, const TemplateAbilities &abilities) {
  if (abilities.takes_text && !abilities.takes_parts) content = text_of_content(content);
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

std::string described_tools(const OrderedJson &tools) {
  std::string text =
      "You may call one or more functions to assist with the user query.\n\nYou are provided with function signatures "
      "within <tools></tools> XML tags:\n<tools>";
  for (const OrderedJson &tool : tools) text += "\n" + tool.dump();
  return text +
         "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
         "<tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": "
         "<args-json-object>}\n</tool_call>";
}

std::string written_calls(const OrderedJson &calls) {
  std::string text;
  for (const OrderedJson &call : calls) {
    const OrderedJson &function = call["function"];
    text += std::string(text.empty() ? "" : "\n") + "<tool_call>\n{\"name\": " + function["name"].dump() +
            ", \"arguments\": " + function["arguments"].get<std::string>() + "}\n</tool_call>";
  }
  return text;
}

// Results of calls made together become one message: templates want user and assistant to take turns.
OrderedJson with_tools_as_text(OrderedJson messages, OrderedJson tools, const InputMarks &marks) {
  marks.mark(tools);
  OrderedJson made = OrderedJson::array();
  if (!tools.empty() && messages.front()["role"] != "system") {
    made.push_back({{"role", "system"}, {"content", described_tools(tools)}});
  }
  bool follows_result = false;
  for (OrderedJson &message : messages) {
    const bool is_result = message["role"] == "tool";
    std::string text = text_of_content(message["content"]);
    if (message["role"] == "system" && made.empty() && !tools.empty()) {
      text += (text.empty() ? "" : "\n\n") + described_tools(tools);
    }
    if (message.contains("tool_calls")) text += (text.empty() ? "" : "\n") + written_calls(message["tool_calls"]);
    if (is_result) text = "<tool_response>\n" + text + "\n</tool_response>";
    if (is_result && follows_result) {
      made.back()["content"] = made.back()["content"].get<std::string>() + "\n" + text;
    } else {
      OrderedJson plain = {{"role", is_result ? OrderedJson("user") : message["role"]}, {"content", text}};
      if (message.contains("reasoning_content")) plain["reasoning_content"] = message["reasoning_content"];
      made.push_back(std::move(plain));
    }
    follows_result = is_result;
  }
  return made;
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
    if (message["role"] == "developer" && !abilities.has_developer_role) message["role"] = "system";
  }
  if (!abilities.has_tools) messages = with_tools_as_text(std::move(messages), request.tools, marks);
  if (!abilities.has_system_role) merge_system_message(messages);
  for (OrderedJson &message : messages) {
    if (abilities.takes_json_values) parse_arguments(message);
    fit_content(message["content"], abilities);
  }
  return messages;
}

}  // namespace se
