// Messages in the shape that a template expects: templates differ in what they know, and OpenAI's format has all of it.
#pragma once

#include "base/json.h"
#include "text/chat_request.h"
#include "text/input_marks.h"

namespace se {

struct TemplateAbilities {
  bool has_system_role;
  bool has_developer_role;
  bool takes_text;         // a message's content as a string
  bool takes_parts;        // as a list of parts
  bool takes_json_values;  // a tool call's arguments as JSON, not as text
  bool has_tools;          // it describes tools and writes calls of them
};

// The messages of `request`, marked. Without tools of its own the template gets them in the system message, and calls
// and their results as text: in the format of Hermes 2, which most models have seen.
OrderedJson template_messages(const ChatRequest &request, const TemplateAbilities &abilities, const InputMarks &marks);

}  // namespace se
