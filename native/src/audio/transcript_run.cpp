// Turns whisper.cpp's tokens into words, segments and probabilities.
#include "audio/transcript_run.h"

#include <whisper.h>

#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "engines/whisper_state.h"

namespace se {
namespace {

constexpr int64_t kMsPerTick = 10;

// A word is the tokens from one that begins with a space up to the next such token; its text is still bytes.
struct WordTokens {
  Word word;
  double probability = 0;
  int tokens = 0;
};

int64_t milliseconds(whisper_context *context, int64_t ticks) {
  return whisper_original_time(context, ticks) * kMsPerTick;
}

void add_to_words(std::vector<WordTokens> &words, const std::string &piece, whisper_context *context,
                  const whisper_token_data &token) {
  const int64_t start_ms = milliseconds(context, token.t0), end_ms = milliseconds(context, token.t1);
  if (words.empty() || piece.starts_with(' ')) words.push_back({{start_ms, end_ms, "", 0}});
  WordTokens &last = words.back();
  last.word.text += piece;
  last.word.end_ms = end_ms;
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
  Segment segment;
  // whisper.cpp has mapped these times itself.
  segment.start_ms = whisper_full_get_segment_t0(context, index) * kMsPerTick;
  segment.end_ms = whisper_full_get_segment_t1(context, index) * kMsPerTick;
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
    if (with_words_) add_to_words(words, piece, context, token);
  }
  if (!segment.tokens.empty())
    segment.probability = static_cast<float>(sum / static_cast<double>(segment.tokens.size()));
  for (WordTokens &each : words) {
    each.word.text = to_utf8(each.word.text);
    each.word.probability = static_cast<float>(each.probability / each.tokens);
    segment.words.push_back(std::move(each.word));
  }
  return segment;
}

}  // namespace se
