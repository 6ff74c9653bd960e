// Turns whisper.cpp's tokens into words, segments and probabilities.
#include "audio/transcript_run.h"

#include <whisper.h>

#include <string>
#include <vector>

#include "base/utf8.h"
#include "engines/whisper_state.h"

namespace se {
namespace {

constexpr int64_t kMsPerTick = 10;

struct Token {
  int32_t id;
  float probability;
  std::string text;
  bool begins_word;
  int64_t start_ms;
  int64_t end_ms;
};

struct Word {
  int64_t start_ms;
  int64_t end_ms;
  std::string text;
  double probability;
  int tokens;
};

int64_t milliseconds(whisper_context *context, int64_t ticks) {
  return whisper_original_time(context, ticks) * kMsPerTick;
}

std::vector<Token> spoken_tokens(whisper_context *context, int index) {
  std::vector<Token> tokens;
  const int count = whisper_full_n_tokens(context, index);
  for (int i = 0; i < count; ++i) {
    const whisper_token_data token = whisper_full_get_token_data(context, index, i);
    if (token.id >= whisper_token_eot(context)) continue;
    const std::string piece = whisper_full_get_token_text(context, index, i);
    tokens.push_back({token.id, token.p, piece, piece.starts_with(' '), milliseconds(context, token.t0),
                      milliseconds(context, token.t1)});
  }
  return tokens;
}

// A word is the tokens from one that begins with a space to the next.
std::vector<Word> words_of(const std::vector<Token> &tokens) {
  std::vector<Word> words;
  for (const Token &token : tokens) {
    if (words.empty() || token.begins_word) words.push_back({token.start_ms, token.end_ms, "", 0, 0});
    Word &word = words.back();
    word.text += token.text;
    word.end_ms = token.end_ms;
    word.probability += static_cast<double>(token.probability);
    ++word.tokens;
  }
  for (Word &word : words) word.text = to_utf8(word.text);
  return words;
}

float mean_probability(const std::vector<Token> &tokens) {
  double sum = 0;
  for (const Token &token : tokens) sum += static_cast<double>(token.probability);
  return tokens.empty() ? 0 : static_cast<float>(sum / static_cast<double>(tokens.size()));
}

}  // namespace

void TranscriptRun::segments(whisper_context *context, int count) {
  const int total = whisper_full_n_segments(context);
  for (int i = total - count; i < total && !refused_; ++i) hand_out(context, i);
}

void TranscriptRun::hand_out(whisper_context *context, int index) {
  const std::string text = to_utf8(whisper_full_get_segment_text(context, index));
  std::vector<Token> tokens = spoken_tokens(context, index);
  const float probability = mean_probability(tokens);
  const std::vector<Word> words = with_words_ ? words_of(tokens) : std::vector<Word>();
  std::vector<se_audio_word> shown_words;
  for (const Word &word : words) {
    shown_words.push_back(
        {word.start_ms, word.end_ms, word.text.c_str(), static_cast<float>(word.probability / word.tokens)});
  }
  for (Token &token : tokens) token.text = to_utf8(token.text);
  std::vector<se_audio_token> shown_tokens;
  for (const Token &token : tokens) shown_tokens.push_back({token.id, token.probability, token.text.c_str()});
  // whisper.cpp has mapped these times itself.
  const se_audio_segment segment = {whisper_full_get_segment_t0(context, index) * kMsPerTick,
                                    whisper_full_get_segment_t1(context, index) * kMsPerTick,
                                    text.c_str(),
                                    result_.language,
                                    probability,
                                    whisper_full_get_segment_no_speech_prob(context, index),
                                    with_words_ ? shown_words.data() : nullptr,
                                    shown_words.size(),
                                    shown_tokens.data(),
                                    shown_tokens.size()};
  if (result_.segments == 0) {
    result_.first_segment_seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
  }
  ++result_.segments;
  refused_ = !on_segment_(segment);
}

}  // namespace se
