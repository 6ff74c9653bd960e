// Messages in the shape that a template expects: templates differ in what they know, and OpenAI's format has all of it.
#pragma once

#include "base/json.h"
#include "text/chat_request.h"
#include "text/input_marks.h"

namespace se {

// How tools, calls and results are written.
enum class ToolFormat {
  of_template,     // by the template itself
  hermes,          // as Hermes 2 does, which most models have seen
  gemma,           // as Google describes for Gemma 3
  phi4,            // as Microsoft describes for Phi-4-mini: the template writes only the tools
  function_gemma,  // by the template of FunctionGemma, whose calls llama.cpp does not read
};

struct TemplateAbilities {
  bool has_system_role;
  bool has_developer_role;
  bool takes_text;         // a message's content as a string
  bool takes_parts;        // as a list of parts
  bool takes_json_values;  // a tool call's arguments as JSON, not as text
  ToolFormat tools;
};

// The messages of `request`, marked. A template without tools of its own gets them in the system message, and calls and
// their results as text.
OrderedJson template_messages(const ChatRequest &request, const TemplateAbilities &abilities, const InputMarks &marks);

}  // namespace se
