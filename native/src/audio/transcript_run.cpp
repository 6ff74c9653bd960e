// Turns whisper.cpp's tokens into words, segments and probabilities.
#include "audio/transcript_run.h"

#include <whisper.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "engines/whisper_state.h"

namespace se {
namespace {

constexpr int64_t kMsPerTick = 10;

// A word is the tokens from one that begins with a space up to the next such token; its text is still bytes.
struct WordTokens {
  WhisperTimes ticks;
  std::string text = {};
  double probability = 0;
  int tokens = 0;
};

void add_to_words(std::vector<WordTokens> &words, const std::string &piece, const whisper_token_data &token) {
  if (words.empty() || piece.starts_with(' ')) words.push_back({.ticks = {token.t0, token.t1}});
  WordTokens &last = words.back();
  last.text += piece;
  last.ticks.end = token.t1;
  last.probability += static_cast<double>(token.p);
  ++last.tokens;
}

}  // namespace

void TranscriptRun::segments(whisper_context *context, int count) {
  const int total = whisper_full_n_segments(context);
  for (int i = total - count; i < total && !is_cancelled_; ++i) {
    const Segment segment = segment_at(context, i);
    if (result.segments++ == 0) result.first_segment_seconds = seconds();
    is_cancelled_ = !callbacks_.on_segment(segment);
  }
}

Segment TranscriptRun::segment_at(whisper_context *context, int index) const {
  // whisper.cpp fills windows of 30 s with silence, and the model may hear an end in it.
  const auto length_ms = static_cast<int64_t>(std::llround(result.audio_seconds * 1000));
  const auto in_audio = [length_ms](WhisperTimes ticks) {
    const int64_t start_ms = std::clamp<int64_t>(ticks.start * kMsPerTick, 0, length_ms);
    return std::pair(start_ms, std::clamp(ticks.end * kMsPerTick, start_ms, length_ms));
  };
  Segment segment;
  std::tie(segment.start_ms, segment.end_ms) = in_audio(whisper_segment_times(context, index));
  segment.text = to_utf8(whisper_full_get_segment_text(context, index));
  segment.language = result.language;
  segment.no_speech_probability = whisper_full_get_segment_no_speech_prob(context, index);
  std::vector<WordTokens> words;
  double sum = 0;
  for (int i = 0; i < whisper_full_n_tokens(context, index); ++i) {
    const whisper_token_data token = whisper_full_get_token_data(context, index, i);
    if (token.id >= whisper_token_eot(context)) continue;
    const std::string piece = whisper_full_get_token_text(context, index, i);
    segment.tokens.push_back({token.id, token.p, to_utf8(piece)});
    sum += static_cast<double>(token.p);
    if (with_words_) add_to_words(words, piece, token);
  }
  if (!segment.tokens.empty())
    segment.probability = static_cast<float>(sum / static_cast<double>(segment.tokens.size()));
  for (const WordTokens &each : words) {
    const auto [start_ms, end_ms] = in_audio(whisper_word_times(context, each.ticks));
    const auto probability = static_cast<float>(each.probability / each.tokens);
    segment.words.push_back({start_ms, end_ms, to_utf8(each.text), probability});
  }
  return segment;
}

}  // namespace se
