// The grammars decide, not the parsers: those also read calls that follow no schema.
#include "text/call_or_text_parser.h"

#include <algorithm>
#include <utility>

namespace se {

CallOrTextParser::CallOrTextParser(Reading calls, Reading text) : calls_{std::move(calls)}, text_{std::move(text)} {}

bool CallOrTextParser::add(std::string_view text, const DeltaReceiver &receiver) {
  if (chosen_ != nullptr) return chosen_->add(text, receiver);
  read(calls_, text);
  read(text_, text);
  const bool may_be_call = calls_.reading.match.holds();
  if (may_be_call && text_.reading.match.holds()) return pass_on_reasoning(receiver);
  return choose(may_be_call ? calls_ : text_, receiver);
}

bool CallOrTextParser::finish(const DeltaReceiver &receiver) {
  if (chosen_ == nullptr) {
    const Reading &calls = calls_.reading;
    // A call that was cut off, with its name, could still have become a text.
    const bool is_call = calls.match.is_complete() || (calls.match.holds() && calls.parser->has_tool_calls());
    if (!choose(is_call ? calls_ : text_, receiver)) return false;
  }
  return chosen_->finish(receiver);
}

void CallOrTextParser::read(Alternative &one, std::string_view text) {
  one.reading.match.add(text);
  one.reading.parser->add(text, [&](const TextDelta &delta) {
    one.held.push_back({delta.kind, delta.tool_index, std::string(delta.text), std::string(delta.tool_call_id),
                        std::string(delta.tool_name)});
    return true;
  });
}

// Of one alternative's reasoning what the other one has not could never be taken back.
bool CallOrTextParser::pass_on_reasoning(const DeltaReceiver &receiver) {
  const std::string reasoning = reasoning_of(calls_), other = reasoning_of(text_);
  size_t count = 0;
  while (count < std::min(reasoning.size(), other.size()) && reasoning[count] == other[count]) ++count;
  // Whole characters.
  const auto is_inside = [](const std::string &text, size_t at) {
    return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
  };
  while (is_inside(reasoning, count) || is_inside(other, count)) --count;
  for (Alternative *one : {&calls_, &text_}) take_reasoning(*one, count);
  return count == 0 || receiver({.kind = DeltaKind::reasoning, .text = std::string_view(reasoning).substr(0, count)});
}

// What is held of it before anything else.
std::string CallOrTextParser::reasoning_of(const Alternative &one) {
  std::string reasoning;
  for (const HeldDelta &delta : one.held) {
    if (delta.kind != DeltaKind::reasoning) break;
    reasoning += delta.text;
  }
  return reasoning;
}

void CallOrTextParser::take_reasoning(Alternative &one, size_t count) {
  auto kept = one.held.begin();
  for (; count > 0 && kept->text.size() <= count; ++kept) count -= kept->text.size();
  if (count > 0) kept->text.erase(0, count);
  one.held.erase(one.held.begin(), kept);
}

bool CallOrTextParser::choose(Alternative &one, const DeltaReceiver &receiver) {
  chosen_ = one.reading.parser.get();
  const std::vector<HeldDelta> held = std::exchange(one.held, {});
  return std::all_of(held.begin(), held.end(), [&](const HeldDelta &kept) {
    TextDelta delta{.kind = kept.kind, .tool_index = kept.tool_index, .text = kept.text};
    delta.tool_call_id = kept.tool_call_id;
    delta.tool_name = kept.tool_name;
    return receiver(delta);
  });
}

}  // namespace se
