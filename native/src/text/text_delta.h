// A piece of an answer on its way to the caller: text, reasoning or a part of a tool call.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace se {

enum class DeltaKind { text, reasoning, tool_call_begin, tool_call_arguments, tool_call_end };

// The natural logarithm of a token's probability, and those of the likeliest tokens at its place.
struct TokenLogprob {
  int32_t id;
  float logprob;
  std::string bytes;
  std::vector<TokenLogprob> top = {};
};

struct TextDelta {
  DeltaKind kind = DeltaKind::text;
  uint32_t tool_index = 0;
  std::string_view text = {};          // whole characters
  std::string_view tool_call_id = {};  // this and the name only when a call begins
  std::string_view tool_name = {};
  std::span<const TokenLogprob> logprobs = {};  // of the tokens since the last delta, if they were asked for
};

// Receives the pieces in order; false stops the call.
using DeltaReceiver = std::function<bool(const TextDelta &)>;

}  // namespace se
