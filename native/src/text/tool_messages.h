// Tools, calls of them and their results as text, for templates that know none, and as FunctionGemma's wants them.
#pragma once

#include <string>

#include "base/json.h"
#include "text/chat_messages.h"
#include "text/input_marks.h"

namespace se {

// A string, or the texts of a list of parts, each a line; beside an image nothing is added, as llama.cpp does it.
std::string text_of_content(const OrderedJson &content);

struct ToolWriting {
  ToolFormat format;
  const InputMarks &marks;
};

// Results of calls made together become one message: templates want user and assistant to take turns.
OrderedJson with_tools_as_text(OrderedJson messages, OrderedJson tools, const ToolWriting &writing);

// FunctionGemma's template wants the name of the function with each result, and its developer the sentence with which
// the model was trained to call functions.
void fit_function_gemma(OrderedJson &messages, bool has_tools);

}  // namespace se
