// A chat as OpenAI's interface has it.
#include "target.h"
#include "text/chat_request.h"

void read(const std::string &data) { se::ChatRequest::parse(data); }
