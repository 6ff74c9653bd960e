// A model's own Jinja chat template: a list of messages becomes the prompt that the model was trained on.
#pragma once

#include <memory>
#include <string>

namespace se {

class ChatTemplate {
 public:
  // `source` may be empty: the model has no template, and render throws.
  ChatTemplate(std::string source, std::string bos, std::string eos);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate &&) noexcept;

  bool exists() const { return !source_.empty(); }

  // `messages_json`: an array of {"role", "content"} objects, or {"messages": such an array, "chat_template_kwargs":
  // variables of the template by name}. INVALID_ARGUMENT: other JSON, or the template rejects these messages;
  // UNSUPPORTED: there is no template, or it uses what our Jinja does not know.
  std::string render(const std::string &messages_json);

 private:
  struct Program;

  std::string source_;
  std::string bos_;
  std::string eos_;
  std::unique_ptr<Program> program_;
};

}  // namespace se
