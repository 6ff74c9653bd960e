// For runtimes without llama.cpp's chat code: messages go through the template, and all of an answer is text.
#include <jinja/lexer.h>
#include <jinja/parser.h>
#include <jinja/runtime.h>
#include <jinja/value.h>
#include <json.h>

#include <mutex>
#include <optional>
#include <utility>

#include "base/status.h"
#include "engines/template_limits.h"
#include "engines/template_source.h"
#include "text/chat_format.h"
#include "text/chat_messages.h"

namespace se {
namespace {

constexpr uint64_t kMostValuesToRender = 4'000'000;
constexpr TemplateAbilities kAll{true, true, true, true, false, ToolFormat::of_template};

void refuse(bool is_asked, const std::string &what) {
  if (!is_asked) return;
  throw Error(SE_UNSUPPORTED, "this runtime was built without " + what, "build it with `sphere-edge runtime build`");
}

}  // namespace

struct ChatFormat::Template {
  jinja::program parsed;
};

struct ChatFormat::Once {
  std::mutex mutex;
  std::optional<const Template> found;
};

ChatFormat::ChatFormat(std::string source, std::string bos, std::string eos)
    : source_(std::move(source)), bos_(std::move(bos)), eos_(std::move(eos)), once_(std::make_unique<Once>()) {}
ChatFormat::~ChatFormat() = default;
ChatFormat::ChatFormat(ChatFormat &&) noexcept = default;

const ChatFormat::Template &ChatFormat::found(const TemplateLimits &limits) const {
  const std::lock_guard lock(once_->mutex);
  if (once_->found) return *once_->found;
  try {
    check_template_shape(source_);
    jinja::lexer lexer;
    once_->found.emplace(Template{jinja::parse_from_tokens(lexer.tokenize(for_lexer(source_)))});
  } catch (const std::exception &error) {
    limits.check(SE_UNSUPPORTED);
    throw Error(SE_UNSUPPORTED, std::string("the model's chat template cannot be read: ") + error.what(),
                "package the model with another template");
  }
  return *once_->found;
}

ChatPrompt ChatFormat::prompt(const ChatRequest &request, const InputMarks &marks, const Interrupt &interrupt) const {
  if (!exists()) {
    throw Error(SE_UNSUPPORTED, "the model has no chat template",
                "generate from a plain prompt, or package the model with a template");
  }
  refuse(!request.tools.empty(), "tools");
  refuse(request.reasoning.has_value(), "control of reasoning");
  refuse(!request.json_schema.empty(), "`response_format`");
  refuse(request.continuation != Continuation::none, "`continue_final_message`");
  const TemplateLimits limits(interrupt, kMostValuesToRender);
  const Template &used = found(limits);
  OrderedJson variables = request.variables;
  marks.mark(variables);
  variables["messages"] = template_messages(request, kAll, marks);
  variables["add_generation_prompt"] = true;
  variables["bos_token"] = bos_;
  variables["eos_token"] = eos_;
  ChatPrompt prompt;
  try {
    jinja::context context(source_);
    jinja::global_from_json(context, common_json::parse(variables.dump()), false);
    jinja::runtime runtime(context);
    prompt.text = jinja::runtime::gather_string_parts(runtime.execute(used.parsed))->as_string().str();
  } catch (const std::exception &error) {
    limits.check(SE_UNSUPPORTED);
    throw Error(SE_INVALID_ARGUMENT, std::string("the model's chat template rejects these messages: ") + error.what());
  }
  limits.check(SE_UNSUPPORTED);
  return prompt;
}

}  // namespace se
