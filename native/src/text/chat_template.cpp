// Renders chat templates with the Jinja engine that llama.cpp brings along.
#include "text/chat_template.h"

#include <jinja/lexer.h>
#include <jinja/parser.h>
#include <jinja/runtime.h>
#include <jinja/value.h>

#include <utility>

#include "base/json.h"
#include "base/status.h"

namespace se {
namespace {

// Only the functions below need Jinja values, so JSON is converted to them here.
jinja::value message_value(const Json &message, size_t index) {
  const std::string name = "message " + ticked(std::to_string(index));
  require(message.is_object(), name + " is not a JSON object");
  auto value = jinja::mk_val<jinja::value_object>();
  for (const char *key : {"role", "content"}) {
    const auto found = message.find(key);
    require(found != message.end() && found->is_string(), name + " has no string " + ticked(key));
    value->insert(key, jinja::mk_val<jinja::value_string>(found->get<std::string>()));
  }
  require(message.size() == 2, name + " has other keys than `role` and `content`");
  const auto role = message["role"].get<std::string>();
  require(role == "system" || role == "user" || role == "assistant", name + " has the unknown role " + ticked(role),
          "use system, user or assistant");
  return value;
}

jinja::value messages_value(const Json &messages) {
  require(messages.is_array() && !messages.empty(), "the message list is not a JSON array with at least one message");
  auto value = jinja::mk_val<jinja::value_array>();
  for (size_t i = 0; i < messages.size(); ++i) value->push_back(message_value(messages[i], i));
  return value;
}

// Depth is bounded: parse_json rejects deeper documents.
jinja::value any_value(const Json &json) {
  if (json.is_boolean()) return jinja::mk_val<jinja::value_bool>(json.get<bool>());
  if (json.is_number_integer()) return jinja::mk_val<jinja::value_int>(json.get<int64_t>());
  if (json.is_number()) return jinja::mk_val<jinja::value_float>(json.get<double>());
  if (json.is_string()) return jinja::mk_val<jinja::value_string>(json.get<std::string>());
  if (json.is_array()) {
    auto value = jinja::mk_val<jinja::value_array>();
    for (const Json &item : json) value->push_back(any_value(item));
    return value;
  }
  if (json.is_object()) {
    auto value = jinja::mk_val<jinja::value_object>();
    for (const auto &[key, item] : json.items()) value->insert(key, any_value(item));
    return value;
  }
  return jinja::mk_val<jinja::value_none>();
}

// What the template reads besides the messages, such as Qwen3's `enable_thinking`.
void set_variables(jinja::context &context, const Json &variables) {
  require(variables.is_object(), "`chat_template_kwargs` is not a JSON object", "such as {\"enable_thinking\": false}");
  for (const auto &[name, value] : variables.items()) {
    const bool ours =
        name == "messages" || name == "add_generation_prompt" || name == "bos_token" || name == "eos_token";
    require(!ours, "`chat_template_kwargs` sets " + ticked(name) + ", which the runtime sets itself");
    context.set_val(name, any_value(value));
  }
}

// A conversation is a message list, or an object with variables for the template as well.
struct Conversation {
  Json messages;
  Json variables = Json::object();

  explicit Conversation(const std::string &text) : messages(parse_json(text, "the message list", SE_INVALID_ARGUMENT)) {
    if (!messages.is_object()) return;
    const Json whole = std::move(messages);
    for (const auto &[key, value] : whole.items()) {
      require(key == "messages" || key == "chat_template_kwargs", "the conversation has the unknown key " + ticked(key),
              "use messages and chat_template_kwargs");
    }
    messages = whole.value("messages", Json());
    variables = whole.value("chat_template_kwargs", Json::object());
  }
};

}  // namespace

struct ChatTemplate::Program {
  jinja::program parsed;
};

ChatTemplate::ChatTemplate(std::string source, std::string bos, std::string eos)
    : source_(std::move(source)), bos_(std::move(bos)), eos_(std::move(eos)) {}
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate &&) noexcept = default;

std::string ChatTemplate::render(const std::string &messages_json) {
  if (!exists()) {
    throw Error(SE_UNSUPPORTED, "the model has no chat template",
                "generate from a plain prompt, or package the model with a template");
  }
  const Conversation conversation(messages_json);
  const jinja::value messages = messages_value(conversation.messages);
  if (!program_) {
    try {
      jinja::lexer lexer;
      program_ = std::make_unique<Program>(Program{jinja::parse_from_tokens(lexer.tokenize(source_))});
    } catch (const std::exception &error) {
      throw Error(SE_UNSUPPORTED, std::string("the model's chat template cannot be read: ") + error.what(),
                  "package the model with another template");
    }
  }
  try {
    jinja::context context(source_);
    context.set_val("messages", messages);
    context.set_val("add_generation_prompt", jinja::mk_val<jinja::value_bool>(true));
    context.set_val("bos_token", jinja::mk_val<jinja::value_string>(bos_));
    context.set_val("eos_token", jinja::mk_val<jinja::value_string>(eos_));
    set_variables(context, conversation.variables);
    jinja::runtime runtime(context);
    return jinja::runtime::gather_string_parts(runtime.execute(program_->parsed))->as_string().str();
  } catch (const Error &) {
    throw;
  } catch (const std::exception &error) {
    throw Error(SE_INVALID_ARGUMENT, std::string("the model's chat template rejects these messages: ") + error.what());
  }
}

}  // namespace se
