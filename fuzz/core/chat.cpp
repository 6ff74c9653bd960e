// A chat as OpenAI's interface has it.
#include "target.h"
#include "text/chat_request.h"

namespace {

const Target chat_target("chat", [](const std::string &data) { se::ChatRequest::parse(data); });

}  // namespace
