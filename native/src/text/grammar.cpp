// Tokens as texts for GrammarPosition. Triggers are looked for in the latest tokens: llama.cpp searches the whole
// answer at every token.
#include "text/grammar.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/status.h"
#include "base/utf8.h"
#include "llama-vocab.h"
#include "text/unicode.h"

namespace se {
namespace {

// Longer than every trigger of llama.cpp's formats.
constexpr size_t kLatestBytes = 512;

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

// What the character can become that begins with these bytes, which are well-formed so far.
void set_last_character(std::string_view bytes, GrammarCandidate &candidate) {
  const auto lead = static_cast<unsigned char>(bytes.front());
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  uint32_t value = lead & (0x7FU >> length);
  for (const char c : bytes.substr(1)) value = value << 6 | (static_cast<unsigned char>(c) & 0x3FU);
  const size_t missing_bits = 6 * (length - bytes.size());
  const uint32_t shortest = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  candidate.least = std::max(value << missing_bits, shortest);
  candidate.most = value << missing_bits | ((1U << missing_bits) - 1);
}

}  // namespace

Grammar::Grammar(const GrammarOptions &options, const Tokenizer &tokenizer, const Interrupt &interrupt)
    : tokenizer_(tokenizer),
      interrupt_(interrupt),
      rules_(std::make_shared<const ParsedGrammar>(options.text, tokenizer.vocabulary(), interrupt)),
      position_(beginning()),
      holds_(!options.is_lazy) {
  for (const GrammarTrigger &trigger : options.triggers) {
    Trigger &made = triggers_.emplace_back();
    if (trigger.is_pattern) {
      made.pattern.emplace(trigger.text);
    } else {
      made.word = trigger.text;
    }
  }
  if (options.is_lazy) return;
  const std::vector<int32_t> begun = tokenizer_.tokenize(options.begun, false, true);
  for (size_t i = 0; i < begun.size(); ++i) {
    // Some tokenizers put a space before the first special token.
    const std::string piece = tokenizer_.piece(begun[i], true);
    if (i == 0 && piece == " " && options.begun.front() != ' ') continue;
    accept(begun[i]);
  }
}

void Grammar::apply(llama_token_data_array &candidates) const {
  const llama_vocab &vocabulary = *tokenizer_.vocabulary();
  const bool may_end = unfinished_.empty() && position_.is_complete();
  // Views of it stay valid: it has room for all.
  std::u32string characters;
  size_t bytes = 0;
  for (size_t i = 0; i < candidates.size; ++i) {
    bytes += unfinished_.size() + vocabulary.token_to_piece(candidates.data[i].id).size();
  }
  characters.reserve(bytes);
  GrammarCandidates tried;
  tried.reserve(candidates.size);
  for (size_t i = 0; i < candidates.size; ++i) {
    llama_token_data &one = candidates.data[i];
    if (std::isinf(one.logit)) continue;
    const std::string &piece = vocabulary.token_to_piece(one.id);
    GrammarCandidate candidate{i, one.id, {}};
    if (tokenizer_.ends_text(one.id)) {
      if (!may_end) one.logit = -INFINITY;
    } else if (piece.empty() || piece.front() == 0 || !decode(piece, characters, candidate)) {
      one.logit = -INFINITY;
    } else {
      tried.push_back(candidate);
    }
  }
  for (const GrammarCandidate &rejected : position_.rejected(std::move(tried))) {
    candidates.data[rejected.index].logit = -INFINITY;
  }
}

// Appends the characters that `piece` completes. False if it does not go on as UTF-8 does.
bool Grammar::decode(std::string_view piece, std::u32string &characters, GrammarCandidate &candidate) const {
  const size_t begin = characters.size();
  // Most tokens.
  if (unfinished_.empty() && std::all_of(piece.begin(), piece.end(), is_ascii)) {
    characters.append(piece.begin(), piece.end());
  } else {
    if (!is_utf8_so_far(unfinished_, piece)) return false;
    std::string rest = std::string(unfinished_).append(piece);
    characters += unicode::decoded(take_characters(rest, false));
    if (!rest.empty()) set_last_character(rest, candidate);
  }
  candidate.characters = std::u32string_view(characters).substr(begin);
  return true;
}

void Grammar::accept(int32_t token) {
  if (!holds_) {
    if (!is_paused_) wait_for_trigger(token);
  } else if (!take(token, tokenizer_.piece(token, true))) {
    throw Error(SE_INTERNAL, "the answer went on as its grammar does not");
  }
}

// False if `text` cannot come next.
bool Grammar::take(int32_t token, std::string_view text) {
  if (tokenizer_.ends_text(token) && position_.is_complete()) return true;
  unfinished_ += text;
  return position_.accept(token, unicode::decoded(take_characters(unfinished_, false)));
}

void Grammar::wait_for_trigger(int32_t token) {
  latest_.push_back(token);
  latest_text_ += tokenizer_.piece(token, true);
  while (latest_text_.size() > kLatestBytes && latest_.size() > 1) {
    latest_text_.erase(0, tokenizer_.piece(latest_.front(), true).size());
    latest_.pop_front();
    is_latest_all_ = false;
  }
  const std::optional<size_t> place = trigger_place();
  if (!place) return;
  holds_ = begin_at(*place);
  if (holds_) return;
  // The token that ended the trigger goes on with something else, so that this is not what the grammar is for.
  position_ = beginning();
  latest_.clear();
  latest_text_.clear();
  is_latest_all_ = false;
}

// Where the grammar begins to hold: at a pattern's first group, if that is not empty, as in llama.cpp.
std::optional<size_t> Grammar::trigger_place() const {
  // In ECMAScript's expressions `^` also is where the latest text begins; it is meant for the answer's beginning.
  const auto flags = is_latest_all_ ? std::regex_constants::match_default : std::regex_constants::match_not_bol;
  for (const Trigger &trigger : triggers_) {
    if (!trigger.pattern) {
      const size_t place = latest_text_.find(trigger.word);
      if (place != std::string::npos) return place;
      continue;
    }
    std::smatch match;
    if (!std::regex_search(latest_text_, match, *trigger.pattern, flags)) continue;
    size_t group = 1;
    while (group < match.size() && match.length(group) == 0) ++group;
    return static_cast<size_t>(match.position(group < match.size() ? group : 0));
  }
  return std::nullopt;
}

bool Grammar::begin_at(size_t place) {
  unfinished_.clear();
  size_t end = 0;
  for (const int32_t token : latest_) {
    const std::string piece = tokenizer_.piece(token, true);
    const size_t begin = end;
    end += piece.size();
    if (end <= place) continue;
    if (!take(token, std::string_view(piece).substr(std::max(begin, place) - begin))) return false;
  }
  return true;
}

}  // namespace se
