// A chat template, and behind a NUL the messages that it renders.
#include "target.h"
#include "text/chat_format.h"

namespace {

const Target template_target("template", [](const std::string &data) {
  const size_t end = data.find('\0');
  const std::string chat = end == std::string::npos ? R"([{"role": "user", "content": "Hi"}])" : data.substr(end + 1);
  const se::ChatRequest request = se::ChatRequest::parse(chat);
  se::Interrupt interrupt;
  interrupt.arm(500, 0);
  se::ChatFormat(data.substr(0, end), "<s>", "</s>").prompt(request, se::InputMarks({"<s>", "</s>"}), interrupt);
});

}  // namespace
