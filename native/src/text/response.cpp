// Tokens to text, text past the stop strings to the parser, and what it reads to the receiver.
#include "text/response.h"

#include <utility>

namespace se {
namespace {

std::vector<std::string> both(std::vector<std::string> first, const std::vector<std::string> &second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace

Response::Response(const ChatPrompt &chat, const ResponseEnds &ends, const Tokenizer &tokenizer,
                   const DeltaReceiver &receiver)
    : chat_(chat),
      tokenizer_(tokenizer),
      receiver_(receiver),
      with_logprobs_([this](const TextDelta &delta) { return pass_on(delta); }),
      end_text_count_(ends.texts.size()),
      end_tokens_(ends.tokens.begin(), ends.tokens.end()),
      reasoning_(chat.reasoning, chat.begun_response, chat.reasoning_budget),
      is_opened_(chat.opening.empty()),
      output_(both(ends.texts, chat.stops), [this](std::string_view text) {
        return chat_.parser ? chat_.parser->add(text, with_logprobs_) : pass_on({.text = text});
      }) {
  // A stop string that is a control token has no text that it could be found in.
  for (const std::string &stop : both(ends.texts, chat.stops)) {
    const std::optional<int32_t> token = tokenizer_.special(stop);
    if (token && tokenizer_.piece(*token).empty()) end_tokens_.insert(*token);
  }
  if (!chat_.parser) return;
  for (const std::string &text : both(both(chat.preserved_tokens, chat.reasoning.ends), {chat.reasoning.begin})) {
    if (const std::optional<int32_t> token = tokenizer_.special(text)) preserved_.insert(*token);
  }
}

void Response::force(const std::string &text) {
  const std::vector<int32_t> tokens = tokenizer_.tokenize(text, false, true);
  forced_.assign(tokens.begin(), tokens.end());
}

std::optional<int32_t> Response::forced() {
  if (forced_.empty() && reasoning_.is_over() && !is_ending_forced_) {
    force(reasoning_.end());
    is_ending_forced_ = true;
  }
  const bool may_reason = chat_.is_reasoning_expected && !reasoning_.has_ended();
  if (forced_.empty() && !is_opened_ && !reasoning_.is_on() && !may_reason) {
    force(chat_.opening);
    is_opened_ = true;
  }
  if (forced_.empty()) return std::nullopt;
  const int32_t token = forced_.front();
  forced_.pop_front();
  return token;
}

bool Response::add(int32_t token) {
  const std::string piece = tokenizer_.piece(token, preserved_.contains(token));
  reasoning_.accept(piece);
  const bool goes_on = output_.add(piece);
  output_.check();
  return goes_on;
}

void Response::finish() {
  output_.finish();
  if (chat_.parser) chat_.parser->finish(with_logprobs_);
  if (!logprobs_.empty()) pass_on({});
}

int32_t Response::end_index() const {
  const int32_t index = output_.stop_index();
  return index < static_cast<int32_t>(end_text_count_) ? index : -1;
}

bool Response::pass_on(const TextDelta &delta) {
  const std::vector<TokenLogprob> ready = std::exchange(logprobs_, {});
  TextDelta whole = delta;
  whole.logprobs = ready;
  return receiver_(whole);
}

}  // namespace se
