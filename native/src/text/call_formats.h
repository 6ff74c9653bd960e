// Formats of tool calls that llama.cpp has no code for: how an answer in them is read and constrained.
#pragma once

#include <chat.h>

#include <string>

namespace se {

struct CallFormat {
  const common_json &tools;
  bool is_required;
  bool is_parallel;
  // What the template begins the answer with.
  const std::string &begun;
};

// Gemma 3, as Google describes it: {"name": …, "parameters": {…}}, or a list of those, in a block of code or not.
void use_gemma_calls(common_chat_params &made, const CallFormat &format);

// FunctionGemma: <start_function_call>call:NAME{KEY:VALUE,…}<end_function_call>, strings between two <escape>.
// UNSUPPORTED for schemas that cannot be enforced in it.
void use_function_gemma_calls(common_chat_params &made, const CallFormat &format);

}  // namespace se
