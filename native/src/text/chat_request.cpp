// Reads chats as OpenAI's chat completions have them, key by key; what is not known is refused by name.
#include "text/chat_request.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "text/schema_graph.h"

namespace se {
namespace {

constexpr size_t kMostTools = 512;
constexpr size_t kLongestToolName = 128;
constexpr std::string_view kToolNameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/";

using Names = std::set<std::string>;

std::string listed(const Names &names) {
  std::string all;
  for (const std::string &name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

void require_keys(const OrderedJson &object, const std::string &what, const Names &known) {
  require(object.is_object(), what + " is not a JSON object");
  for (const auto &[key, value] : object.items()) {
    require(known.contains(key), what + " has the unknown key " + ticked(key), "use " + listed(known));
  }
}

std::string string_of(const OrderedJson &object, const char *key, const std::string &what) {
  const auto found = object.find(key);
  require(found != object.end() && found->is_string(), what + " has no string " + ticked(key));
  return found->get<std::string>();
}

bool has(const OrderedJson &object, const char *key) {
  const auto found = object.find(key);
  return found != object.end() && !found->is_null();
}

// Only where people and tools speak: models do not paint here, and templates have no place for images elsewhere.
bool may_have_images(const std::string &role) { return role == "user" || role == "tool"; }

OrderedJson part_of(const OrderedJson &part, const std::string &role, const std::string &what) {
  require(part.is_object(), what + " has a part that is not a JSON object");
  const std::string type = string_of(part, "type", "a part of " + what);
  if (type == "text") return {{"type", "text"}, {"text", string_of(part, "text", "a part of " + what)}};
  if (type == "image_url" || type == "input_image") {
    throw Error(SE_UNSUPPORTED, what + " has a part of the type " + ticked(type),
                "here images are given as pixels beside the messages, and as the part {\"type\": \"image\"} in them");
  }
  if (type != "image") {
    throw Error(SE_UNSUPPORTED, what + " has a part of the type " + ticked(type), "use text or image");
  }
  require(may_have_images(role), what + " has an image and is of the role " + ticked(role),
          "images are in messages of the roles user and tool");
  require_keys(part, "a part of the type `image` in " + what, {"type"});
  return {{"type", "image"}};
}

OrderedJson content_of(const OrderedJson &content, const std::string &role, const std::string &what) {
  if (content.is_string()) return content;
  require(content.is_array(), what + " has a `content` that is neither a string nor a list of parts");
  OrderedJson parts = OrderedJson::array();
  for (const OrderedJson &part : content) {
    parts.push_back(part_of(part, role, what));
  }
  return parts;
}

OrderedJson tool_call_of(const OrderedJson &call, const std::string &what) {
  require_keys(call, what, {"id", "type", "function", "index"});
  require(!has(call, "type") || call["type"] == "function", what + " is not of the type `function`");
  require(has(call, "function"), what + " has no `function`");
  const OrderedJson &function = call["function"];
  require_keys(function, "the function of " + what, {"name", "arguments"});
  OrderedJson arguments = has(function, "arguments") ? function["arguments"] : OrderedJson("{}");
  require(arguments.is_string() || arguments.is_object(), what + " has arguments that are not JSON");
  OrderedJson made = {{"type", "function"},
                      {"function",
                       {{"name", string_of(function, "name", what)},
                        {"arguments", arguments.is_string() ? arguments.get<std::string>() : arguments.dump()}}}};
  if (has(call, "id")) made["id"] = string_of(call, "id", what);
  return made;
}

OrderedJson message_of(const OrderedJson &message, size_t index) {
  const std::string what = "message " + ticked(index);
  require(message.is_object(), what + " is not a JSON object");
  const std::string role = string_of(message, "role", what);
  static const Names roles = {"system", "developer", "user", "assistant", "tool"};
  require(roles.contains(role), what + " has the unknown role " + ticked(role), "use " + listed(roles));
  Names keys = {"role", "content", "name"};
  if (role == "assistant") keys.insert({"tool_calls", "reasoning_content", "refusal"});
  if (role == "tool") keys.insert("tool_call_id");
  require_keys(message, what, keys);
  OrderedJson made = {{"role", role}};
  if (has(message, "content")) made["content"] = content_of(message["content"], role, what);
  for (const char *key : {"name", "tool_call_id", "reasoning_content"}) {
    if (has(message, key)) made[key] = string_of(message, key, what);
  }
  if (has(message, "tool_calls")) {
    require(message["tool_calls"].is_array(), what + " has `tool_calls` that are not a list");
    for (const OrderedJson &call : message["tool_calls"]) {
      made["tool_calls"].push_back(tool_call_of(call, "a tool call of " + what));
    }
  }
  if (!made.contains("content")) {
    require(role == "assistant" && (made.contains("tool_calls") || made.contains("reasoning_content")),
            what + " has no `content`");
    made["content"] = "";
  }
  return made;
}

OrderedJson messages_of(const OrderedJson &messages) {
  require(messages.is_array() && !messages.empty(), "the message list is not a JSON array with at least one message");
  OrderedJson made = OrderedJson::array();
  for (size_t i = 0; i < messages.size(); ++i) made.push_back(message_of(messages[i], i));
  return made;
}

// Numbers the images.
void count_images(ChatRequest &request) {
  for (size_t i = 0; i < request.messages.size(); ++i) {
    OrderedJson &content = request.messages[i]["content"];
    if (!content.is_array()) continue;
    for (OrderedJson &part : content) {
      if (part["type"] != "image") continue;
      if (request.images == 0) request.first_with_image = i;
      part["index"] = request.images++;
    }
  }
}

std::string tool_name(const OrderedJson &object, const std::string &what) {
  const std::string name = string_of(object, "name", what);
  // It becomes part of a grammar and of the prompt's own markup.
  require(!name.empty() && name.size() <= kLongestToolName &&
              name.find_first_not_of(kToolNameCharacters) == std::string::npos,
          what + " has an unusable name: " + ticked(name), "use letters, digits and _-.:/, at most 128");
  return name;
}

OrderedJson tool_of(const OrderedJson &tool, size_t index) {
  const std::string what = "tool " + ticked(index);
  require_keys(tool, what, {"type", "function"});
  require(string_of(tool, "type", what) == "function", what + " is not of the type `function`");
  require(has(tool, "function"), what + " has no `function`");
  const OrderedJson &function = tool["function"];
  require_keys(function, "the function of " + what, {"name", "description", "parameters", "strict"});
  OrderedJson made = {{"name", tool_name(function, what)},
                      {"description", has(function, "description") ? string_of(function, "description", what) : ""},
                      {"parameters", {{"type", "object"}, {"properties", OrderedJson::object()}}}};
  if (has(function, "parameters")) {
    require(function["parameters"].is_object(), what + " has `parameters` that are not a JSON schema");
    if (!function["parameters"].empty()) made["parameters"] = function["parameters"];
  }
  return {{"type", "function"}, {"function", std::move(made)}};
}

// Clients send schemas with all kinds of keywords along, so only those of strict tools are refused.
void check_parameters(const OrderedJson &made, bool is_strict) {
  const std::string name = ticked(made["function"]["name"].get<std::string>());
  try {
    const auto use = is_strict ? SchemaUse::strict : SchemaUse::lenient;
    for (const schema::Dropped &dropped : read_schema(made["function"]["parameters"], use).dropped) {
      log(SE_LOG_WARNING,
          "tool " + name + " is not held to " + ticked(dropped.path) + " of its schema: it " + dropped.why);
    }
  } catch (const Error &error) {
    throw Error(error.status, "tool " + name + ": " + error.message, error.hint);
  }
}

bool is_strict_tool(const OrderedJson &tool, const std::string &name) {
  const OrderedJson &function = tool["function"];
  if (!has(function, "strict")) return false;
  require(function["strict"].is_boolean(), "`strict` of tool " + ticked(name) + " is not a boolean");
  return function["strict"].get<bool>();
}

void read_tools(const OrderedJson &tools, ChatRequest &request) {
  require(tools.is_array(), "`tools` is not a list");
  require(tools.size() <= kMostTools, "there are " + ticked(tools.size()) + " tools, more than " + ticked(kMostTools));
  Names names;
  for (size_t i = 0; i < tools.size(); ++i) {
    const OrderedJson made = tool_of(tools[i], i);
    const auto name = made["function"]["name"].get<std::string>();
    const bool is_strict = is_strict_tool(tools[i], name);
    if (is_strict) request.strict_tools.insert(name);
    check_parameters(made, is_strict);
    request.tools.push_back(made);
    require(names.insert(name).second, "two tools have the name " + ticked(name));
  }
  request.allowed_tools = request.tools;
}

ToolChoice mode_of(const OrderedJson &mode) {
  const std::string name = mode.is_string() ? mode.get<std::string>() : mode.dump();
  if (name == "none") return ToolChoice::none;
  if (name == "auto") return ToolChoice::automatic;
  require(name == "required", "the tool choice is unknown: " + ticked(name),
          "use auto, none, required, or an object of the type function or allowed_tools");
  return ToolChoice::required;
}

// The tool that {"type": "function", "function": {"name": …}} names.
OrderedJson named_tool(const OrderedJson &tools, const OrderedJson &choice) {
  require(has(choice, "function"), "the tool choice has no `function`");
  const std::string name = string_of(choice["function"], "name", "the tool choice");
  const auto found = std::find_if(tools.begin(), tools.end(),
                                  [&](const OrderedJson &tool) { return tool["function"]["name"] == name; });
  require(found != tools.end(), "the tool choice names " + ticked(name) + ", which is not one of the tools");
  return *found;
}

void read_tool_choice(const OrderedJson &choice, ChatRequest &request) {
  if (choice.is_string()) {
    request.tool_choice = mode_of(choice);
    return;
  }
  require(choice.is_object(), "`tool_choice` is neither a string nor an object");
  const std::string type = string_of(choice, "type", "the tool choice");
  request.allowed_tools = OrderedJson::array();
  if (type == "function") {
    require_keys(choice, "the tool choice", {"type", "function"});
    request.allowed_tools.push_back(named_tool(request.tools, choice));
    request.tool_choice = ToolChoice::required;
    return;
  }
  require(type == "allowed_tools", "the tool choice has the unknown type " + ticked(type),
          "use function or allowed_tools");
  require_keys(choice, "the tool choice", {"type", "allowed_tools"});
  require(has(choice, "allowed_tools"), "the tool choice has no `allowed_tools`");
  const OrderedJson &allowed = choice["allowed_tools"];
  require_keys(allowed, "`allowed_tools`", {"mode", "tools"});
  require(has(allowed, "tools") && allowed["tools"].is_array(), "`allowed_tools` has no list `tools`");
  for (const OrderedJson &tool : allowed["tools"]) {
    require(tool.is_object(), "`allowed_tools` has a tool that is not a JSON object");
    request.allowed_tools.push_back(named_tool(request.tools, tool));
  }
  request.tool_choice = mode_of(has(allowed, "mode") ? allowed["mode"] : OrderedJson("auto"));
}

std::string schema_of(const OrderedJson &format) {
  require_keys(format, "`response_format`", {"type", "json_schema"});
  const std::string type = string_of(format, "type", "`response_format`");
  if (type == "text") return "";
  if (type == "json_object") return R"({"type": "object"})";
  require(type == "json_schema", "`response_format` has the unknown type " + ticked(type),
          "use text, json_object or json_schema");
  require(has(format, "json_schema"), "`response_format` has no `json_schema`");
  const OrderedJson &named = format["json_schema"];
  require_keys(named, "the `json_schema` of `response_format`", {"name", "description", "schema", "strict"});
  require(has(named, "schema") && named["schema"].is_object(), "`response_format` has no `schema`");
  read_schema(named["schema"], SchemaUse::strict);
  return named["schema"].dump();
}

void read_reasoning(const OrderedJson &reasoning, ChatRequest &request) {
  if (reasoning.is_boolean()) {
    request.reasoning = reasoning.get<bool>();
    return;
  }
  require(reasoning.is_number_integer() && reasoning >= 0 && reasoning <= INT32_MAX,
          "`reasoning` is neither true, false nor a number of tokens: " + ticked(reasoning.dump()));
  request.reasoning_budget = reasoning.get<uint32_t>();
  request.reasoning = *request.reasoning_budget > 0;
}

Continuation continuation_of(const OrderedJson &value) {
  if (value.is_boolean()) return value.get<bool>() ? Continuation::automatic : Continuation::none;
  if (value == "content") return Continuation::content;
  require(value == "reasoning_content",
          "`continue_final_message` is neither true, false, `content` nor `reasoning_content`");
  return Continuation::reasoning;
}

}  // namespace

ChatRequest ChatRequest::parse(const std::string &text) {
  // Parsed once to check it, and once more because the order of a schema's properties is the order of the answer's.
  parse_unambiguous_json(text, "the message list", SE_INVALID_ARGUMENT);
  OrderedJson whole = OrderedJson::parse(text);
  if (!whole.is_object()) whole = {{"messages", std::move(whole)}};
  require_keys(whole, "the conversation",
               {"messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning",
                "continue_final_message", "chat_template_kwargs"});
  ChatRequest request;
  request.messages = messages_of(whole.value("messages", OrderedJson()));
  count_images(request);
  if (has(whole, "tools")) read_tools(whole["tools"], request);
  if (has(whole, "tool_choice")) read_tool_choice(whole["tool_choice"], request);
  require(request.tool_choice != ToolChoice::required || !request.allowed_tools.empty(),
          "a tool call is required, and there are no tools");
  if (has(whole, "parallel_tool_calls")) {
    require(whole["parallel_tool_calls"].is_boolean(), "`parallel_tool_calls` is neither true nor false");
    request.parallel_tool_calls = whole["parallel_tool_calls"].get<bool>();
  }
  if (has(whole, "response_format")) request.json_schema = schema_of(whole["response_format"]);
  // Calls have no text that could follow it.
  if (request.tool_choice == ToolChoice::required) request.json_schema.clear();
  if (has(whole, "reasoning")) read_reasoning(whole["reasoning"], request);
  if (has(whole, "continue_final_message")) request.continuation = continuation_of(whole["continue_final_message"]);
  require(request.continuation == Continuation::none || request.messages.back()["role"] == "assistant",
          "`continue_final_message` needs a last message of the assistant");
  if (has(whole, "chat_template_kwargs")) {
    request.variables = whole["chat_template_kwargs"];
    require(request.variables.is_object(), "`chat_template_kwargs` is not a JSON object",
            "such as {\"enable_thinking\": false}");
    static const Names ours = {"messages", "tools", "add_generation_prompt", "bos_token", "eos_token"};
    for (const auto &[name, value] : request.variables.items()) {
      require(!ours.contains(name), "`chat_template_kwargs` sets " + ticked(name) + ", which the runtime sets itself");
    }
  }
  return request;
}

}  // namespace se
