// Renders chat templates with the Jinja engine that llama.cpp brings along.
#include "chat_template.h"

#include <jinja/lexer.h>
#include <jinja/parser.h>
#include <jinja/runtime.h>
#include <jinja/value.h>

#include <utility>

#include "json.h"
#include "status.h"

namespace se {
namespace {

// The bridge below is the only place that needs Jinja values, so JSON is turned into them here.
jinja::value message_value(const Json &message, size_t index) {
  const std::string name = "message " + ticked(std::to_string(index));
  require(message.is_object(), name + " is no JSON object");
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

jinja::value messages_value(const std::string &text) {
  const Json messages = parse_json(text, "the message list", SE_INVALID_ARGUMENT);
  require(messages.is_array() && !messages.empty(), "the message list is no JSON array with at least one message");
  auto value = jinja::mk_val<jinja::value_array>();
  for (size_t i = 0; i < messages.size(); ++i) value->push_back(message_value(messages[i], i));
  return value;
}

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
  const jinja::value messages = messages_value(messages_json);
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
    jinja::runtime runtime(context);
    return jinja::runtime::gather_string_parts(runtime.execute(program_->parsed))->as_string().str();
  } catch (const std::exception &error) {
    throw Error(SE_INVALID_ARGUMENT, std::string("the model's chat template refuses these messages: ") + error.what());
  }
}

}  // namespace se
