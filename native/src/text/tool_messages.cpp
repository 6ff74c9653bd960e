// Formats: Hermes 2 (NousResearch/Hermes-Function-Calling), Gemma 3 (ai.google.dev/gemma/docs/capabilities/
// function-calling), Phi-4-mini (its model card), FunctionGemma (ai.google.dev/gemma/docs/functiongemma/
// formatting-and-best-practices).
#include "text/tool_messages.h"

#include <map>
#include <utility>

namespace se {
namespace {

std::string hermes_tools(const OrderedJson &tools) {
  std::string text =
      "You may call one or more functions to assist with the user query.\n\nYou are provided with function signatures "
      "within <tools></tools> XML tags:\n<tools>";
  for (const OrderedJson &tool : tools) text += "\n" + tool.dump();
  return text +
         "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
         "<tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": "
         "<args-json-object>}\n</tool_call>";
}

OrderedJson functions_of(const OrderedJson &tools) {
  OrderedJson functions = OrderedJson::array();
  for (const OrderedJson &tool : tools) functions.push_back(tool["function"]);
  return functions;
}

std::string gemma_tools(const OrderedJson &tools) {
  return "You have access to functions. A call of a function has the format of\n"
         "{\"name\": function name, \"parameters\": dictionary of argument name and its value}\n"
         "and several calls are a list of those. If you call a function, include no other text in the response.\n" +
         functions_of(tools).dump(2);
}

// {"name": …, KEY: …} for each call; arguments keep the text that they were given in.
std::string call_objects(const OrderedJson &calls, const std::string &key, const std::string &between) {
  std::string text;
  for (const OrderedJson &call : calls) {
    const OrderedJson &function = call["function"];
    text += (text.empty() ? "" : between) + "{\"name\": " + function["name"].dump() + ", \"" + key +
            "\": " + function["arguments"].get<std::string>() + "}";
  }
  return text;
}

std::string written_calls(const OrderedJson &calls, ToolFormat format) {
  if (format == ToolFormat::phi4) return "<|tool_call|>[" + call_objects(calls, "arguments", ", ") + "]<|/tool_call|>";
  if (format == ToolFormat::gemma) {
    const std::string objects = call_objects(calls, "parameters", ", ");
    return calls.size() == 1 ? objects : "[" + objects + "]";
  }
  return "<tool_call>\n" + call_objects(calls, "arguments", "\n</tool_call>\n<tool_call>\n") + "\n</tool_call>";
}

std::string written_result(const std::string &text, ToolFormat format) {
  if (format == ToolFormat::phi4) return text;
  if (format == ToolFormat::gemma) return "```tool_output\n" + text + "\n```";
  return "<tool_response>\n" + text + "\n</tool_response>";
}

void describe_tools(OrderedJson &system, const OrderedJson &tools, ToolFormat format) {
  if (format == ToolFormat::phi4) {
    // Its template puts them between marks of its own.
    system["tools"] = functions_of(tools).dump();
    return;
  }
  const std::string text = text_of_content(system["content"]);
  const std::string described = format == ToolFormat::gemma ? gemma_tools(tools) : hermes_tools(tools);
  system["content"] = text + (text.empty() ? "" : "\n\n") + described;
}

OrderedJson result_of(const OrderedJson &name, const OrderedJson &content) {
  const OrderedJson parsed = OrderedJson::parse(text_of_content(content), nullptr, false);
  if (!parsed.is_object()) return text_of_content(content);
  return {{"name", name}, {"response", parsed}};
}

}  // namespace

std::string text_of_content(const OrderedJson &content) {
  if (content.is_string()) return content.get<std::string>();
  std::string text;
  bool follows_image = false;
  for (const OrderedJson &part : content) {
    const bool is_image = part.contains("is_image");
    if (!follows_image && !is_image && !text.empty()) text += "\n";
    text += part["text"].get<std::string>();
    follows_image = is_image;
  }
  return text;
}

OrderedJson with_tools_as_text(OrderedJson messages, OrderedJson tools, const ToolWriting &writing) {
  writing.marks.mark(tools);
  OrderedJson made = OrderedJson::array();
  const auto system_with_tools = [&](const std::string &text) {
    OrderedJson system = {{"role", "system"}, {"content", text}};
    describe_tools(system, tools, writing.format);
    made.push_back(std::move(system));
  };
  if (!tools.empty() && messages.front()["role"] != "system") {
    system_with_tools(writing.format == ToolFormat::phi4 ? "You are a helpful assistant with some tools." : "");
  }
  const OrderedJson result_role = writing.format == ToolFormat::phi4 ? "tool_response" : "user";
  bool follows_result = false;
  for (OrderedJson &message : messages) {
    const bool is_result = message["role"] == "tool";
    std::string text = text_of_content(message["content"]);
    if (message["role"] == "system" && made.empty() && !tools.empty()) {
      system_with_tools(text);
      continue;
    }
    if (message.contains("tool_calls")) {
      text += (text.empty() ? "" : "\n") + written_calls(message["tool_calls"], writing.format);
    }
    if (is_result) text = written_result(text, writing.format);
    if (is_result && follows_result) {
      made.back()["content"] = made.back()["content"].get<std::string>() + "\n" + text;
    } else {
      OrderedJson plain = {{"role", is_result ? result_role : message["role"]}, {"content", text}};
      if (message.contains("reasoning_content")) plain["reasoning_content"] = message["reasoning_content"];
      made.push_back(std::move(plain));
    }
    follows_result = is_result;
  }
  return made;
}

void fit_function_gemma(OrderedJson &messages, bool has_tools) {
  constexpr std::string_view kSentence = "You are a model that can do function calling with the following functions";
  std::map<std::string, OrderedJson> names;  // of called functions by the call's id
  OrderedJson latest = "function";
  for (OrderedJson &message : messages) {
    if (message["role"] == "system") message["role"] = "developer";
    if (message.contains("tool_calls")) {
      for (const OrderedJson &call : message["tool_calls"]) {
        latest = call["function"]["name"];
        if (call.contains("id")) names[call["id"].get<std::string>()] = latest;
      }
    }
    if (message["role"] != "tool") continue;
    if (!message.contains("name")) {
      const auto found = names.find(message.value("tool_call_id", ""));
      message["name"] = found == names.end() ? latest : found->second;
    }
    message["content"] = result_of(message["name"], message["content"]);
  }
  if (!has_tools) return;
  if (messages.front()["role"] != "developer") {
    const OrderedJson developer = {{"role", "developer"}, {"content", ""}};
    messages.insert(messages.begin(), developer);
  }
  const std::string text = text_of_content(messages.front()["content"]);
  if (text.ends_with(kSentence)) return;
  messages.front()["content"] = text + (text.empty() ? "" : "\n") + std::string(kSentence);
}

}  // namespace se
