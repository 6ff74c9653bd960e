// What llama.cpp has no code for: formats of tool calls, and texts that follow a schema, in some formats.
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

// Makes an answer without calls follow `schema`. `text_mark`: what the format puts before a text; may be empty.
void use_schema(common_chat_params &made, const common_json &schema, const std::string &text_mark);

// Takes away the text that may come before calls that are required.
void leave_out_text(common_chat_params &made);

}  // namespace se
