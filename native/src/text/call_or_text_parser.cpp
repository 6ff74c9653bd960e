// The grammars decide, not the parsers: those also read calls that follow no schema.
#include "text/call_or_text_parser.h"

#include <algorithm>
#include <utility>

namespace se {

CallOrTextParser::CallOrTextParser(Reading calls, Reading text) : calls_{std::move(calls)}, text_{std::move(text)} {}

bool CallOrTextParser::add(std::string_view text, const DeltaReceiver &receiver) {
  if (chosen_ != nullptr) return chosen_->add(text, [&](const TextDelta &delta) { return pass_on(delta, receiver); });
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
  return chosen_->finish([&](const TextDelta &delta) { return pass_on(delta, receiver); });
}

void CallOrTextParser::read(Alternative &one, std::string_view text) {
  one.reading.match.add(text);
  one.reading.parser->add(text, [&](const TextDelta &delta) {
    one.held.push_back({delta.kind, delta.tool_index, std::string(delta.text), std::string(delta.tool_call_id),
                        std::string(delta.tool_name)});
    return true;
  });
}

bool CallOrTextParser::pass_on_reasoning(const DeltaReceiver &receiver) {
  std::vector<HeldDelta> &held = calls_.held;
  const auto end =
      std::find_if(held.begin(), held.end(), [](const HeldDelta &delta) { return delta.kind != DeltaKind::reasoning; });
  std::string reasoning;
  for (auto one = held.begin(); one != end; ++one) reasoning += one->text;
  held.erase(held.begin(), end);
  said_before_ += reasoning.size();
  return reasoning.empty() || receiver({.kind = DeltaKind::reasoning, .text = reasoning});
}

bool CallOrTextParser::choose(Alternative &one, const DeltaReceiver &receiver) {
  chosen_ = one.reading.parser.get();
  if (&one == &calls_) said_before_ = 0;
  const std::vector<HeldDelta> held = std::exchange(one.held, {});
  return std::all_of(held.begin(), held.end(), [&](const HeldDelta &kept) {
    TextDelta delta{.kind = kept.kind, .tool_index = kept.tool_index, .text = kept.text};
    delta.tool_call_id = kept.tool_call_id;
    delta.tool_name = kept.tool_name;
    return pass_on(delta, receiver);
  });
}

bool CallOrTextParser::pass_on(TextDelta delta, const DeltaReceiver &receiver) {
  if (delta.kind == DeltaKind::reasoning && said_before_ > 0) {
    const size_t count = std::min(said_before_, delta.text.size());
    said_before_ -= count;
    delta.text.remove_prefix(count);
    if (delta.text.empty()) return true;
  }
  if (delta.kind != DeltaKind::reasoning) said_before_ = 0;
  return receiver(delta);
}

}  // namespace se
