// Reads an answer while it is generated: what is reasoning, what is text, what is a tool call.
#pragma once

#include <string_view>

#include "text/text_delta.h"

namespace se {

class ResponseParser {
 public:
  virtual ~ResponseParser() = default;

  // More of the answer, in whole characters. False if the receiver wants no more.
  virtual bool add(std::string_view text, const DeltaReceiver &receiver) = 0;
  // The answer is complete. What is not in the model's format is passed on as text.
  virtual bool finish(const DeltaReceiver &receiver) = 0;
  virtual bool has_tool_calls() const = 0;
};

}  // namespace se
