// ResponseParser of an answer that is tool calls or a text that follows a schema.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/grammar_match.h"
#include "text/response_parser.h"

namespace se {

// Both are read until the answer follows only one of the two grammars. Reasoning that both say is passed on meanwhile;
// the rest is held back. An answer that follows both to its end is a call.
class CallOrTextParser : public ResponseParser {
 public:
  struct Reading {
    std::unique_ptr<ResponseParser> parser;
    // Has read what the prompt begins the answer with.
    GrammarMatch match;
  };
  CallOrTextParser(Reading calls, Reading text);

  bool add(std::string_view text, const DeltaReceiver &receiver) override;
  bool finish(const DeltaReceiver &receiver) override;
  bool has_tool_calls() const override { return chosen_ != nullptr && chosen_->has_tool_calls(); }

 private:
  struct HeldDelta {
    DeltaKind kind;
    uint32_t tool_index;
    std::string text, tool_call_id, tool_name;
  };
  struct Alternative {
    Reading reading;
    std::vector<HeldDelta> held = {};
  };

  static void read(Alternative &one, std::string_view text);
  static std::string reasoning_of(const Alternative &one);
  static void take_reasoning(Alternative &one, size_t count);
  bool choose(Alternative &one, const DeltaReceiver &receiver);
  bool pass_on_reasoning(const DeltaReceiver &receiver);

  Alternative calls_, text_;
  ResponseParser *chosen_ = nullptr;
};

}  // namespace se
