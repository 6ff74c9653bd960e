// One answer while it is generated: from tokens to deltas, and when it ends.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_format.h"
#include "text/output_stream.h"
#include "text/reasoning.h"
#include "text/text_delta.h"
#include "text/tokenizer.h"

namespace se {

struct ResponseEnds {
  std::vector<std::string> texts;  // not part of the answer
  std::vector<int32_t> tokens;
};

class Response {
 public:
  // `chat`: how it is read; of a plain prompt, nothing is said. All arguments but `ends` outlive this.
  Response(const ChatPrompt &chat, const ResponseEnds &ends, const Tokenizer &tokenizer, const DeltaReceiver &receiver);

  bool ends_before(int32_t token) const { return end_tokens_.contains(token); }
  // A token that must come next, whatever the model would say.
  std::optional<int32_t> forced();
  // False once a text was found that ends it. Throws CANCELLED if the receiver wants no more.
  bool add(int32_t token);
  // Its logprob goes with the next delta.
  void add_logprob(TokenLogprob logprob) { logprobs_.push_back(std::move(logprob)); }
  // Passes on what was held back.
  void finish();

  bool is_reasoning() const { return reasoning_.is_on(); }
  uint32_t reasoning_tokens() const { return reasoning_.tokens(); }
  bool has_tool_calls() const { return chat_.parser && chat_.parser->has_tool_calls(); }
  // Which of `ends.texts` was found; -1: none.
  int32_t end_index() const;
  // Throws CANCELLED if the receiver wants no more.
  void check() const { output_.check(); }

 private:
  bool pass_on(const TextDelta &delta);
  void force(const std::string &text);

  const ChatPrompt &chat_;
  const Tokenizer &tokenizer_;
  const DeltaReceiver &receiver_;
  DeltaReceiver with_logprobs_;
  size_t end_text_count_;
  std::set<int32_t> end_tokens_;
  std::set<int32_t> preserved_;
  std::vector<TokenLogprob> logprobs_;
  Reasoning reasoning_;
  std::deque<int32_t> forced_;
  bool is_ending_forced_ = false;
  bool is_opened_;
  OutputStream output_;
};

}  // namespace se
