// Listens again and again to what is not final. A segment is final when it ended a while ago, or at the latest when
// so much is kept that the next step might not fit into whisper.cpp's window.
#include "audio/audio_stream.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/status.h"
#include "base/utf8.h"

namespace se {
namespace {

constexpr int64_t kSamplesPerMs = SE_AUDIO_SAMPLE_RATE / 1000;
// What was said before helps; more of it only makes repetitions likelier.
constexpr size_t kPromptBytes = 200;
constexpr int64_t kLeastForgotten = 100;  // ms

void check_range(uint32_t value, uint32_t least, uint32_t most, const char *name) {
  require(value >= least && value <= most, std::string(name) + " is not from " + std::to_string(least) + " to " +
                                               std::to_string(most) + ": " + ticked(std::to_string(value)));
}

}  // namespace

struct AudioStream::Heard {
  se_audio_segment segment;
  std::string text;
  std::string language;
  std::vector<std::string> texts;
  std::vector<se_audio_word> words;
  std::vector<se_audio_token> tokens;
};

AudioStream::AudioStream(AudioManager &audio, StreamOptions options, Receiver on_segment)
    : audio_(audio), options_(std::move(options)), on_segment_(std::move(on_segment)) {
  check_range(options_.step_ms, 100, 10000, "step_ms");
  check_range(options_.silence_ms, 0, 10000, "silence_ms");
  check_range(options_.longest_ms, 2000, 25000, "longest_ms");
  audio_.check(options_.transcribe);
}

int64_t AudioStream::kept_ms() const { return static_cast<int64_t>(kept_.size()) / kSamplesPerMs; }

void AudioStream::push(std::span<const float> samples) {
  // All are looked at before any is taken.
  require(std::all_of(samples.begin(), samples.end(), [](float sample) { return std::isfinite(sample); }),
          "the samples hold a number that is not finite");
  const size_t full = static_cast<size_t>(options_.step_ms * kSamplesPerMs);
  while (!samples.empty()) {
    const size_t count = std::min(samples.size(), full - unheard_);
    kept_.insert(kept_.end(), samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(count));
    samples = samples.subspan(count);
    unheard_ += count;
    if (unheard_ == full) step(false);
  }
}

void AudioStream::finish() {
  if (!kept_.empty()) step(true);
  kept_.clear();
  unheard_ = 0;
  offset_ms_ = 0;
  said_.clear();
}

std::vector<AudioStream::Heard> AudioStream::listen() {
  std::vector<Heard> all;
  TranscribeOptions options = options_.transcribe;
  options.prompt = to_utf8(options.prompt + said_);
  se_audio_result result{};
  const auto keep = [&](const se_audio_segment &segment) {
    Heard &heard = all.emplace_back();
    heard.segment = segment;
    heard.text = segment.text;
    heard.language = segment.language;
    heard.words.assign(segment.words, segment.words + segment.word_count);
    heard.tokens.assign(segment.tokens, segment.tokens + segment.token_count);
    for (const se_audio_word &word : heard.words) heard.texts.emplace_back(word.text);
    for (const se_audio_token &token : heard.tokens) heard.texts.emplace_back(token.text);
    return true;
  };
  audio_.transcribe(kept_, options, keep, [](float) { return true; }, result);
  return all;
}

void AudioStream::step(bool is_last) {
  // Also after a failure: the next push goes on with what comes next.
  unheard_ = 0;
  const std::vector<Heard> heard = listen();
  const int64_t now = kept_ms();
  const bool is_full = now >= options_.longest_ms;
  size_t final_count = 0;
  while (final_count < heard.size() && (is_last || heard[final_count].segment.end_ms + options_.silence_ms <= now)) {
    ++final_count;
  }
  // The last segment may be cut off, and is kept if it is not all there is.
  if (is_full && final_count == 0) final_count = std::max<size_t>(heard.size(), 2) - 1;
  final_count = std::min(final_count, heard.size());
  hand_out(heard, final_count);
  if (final_count > 0) {
    // At least something, whatever times the model makes up: or the same would be final again.
    forget(std::clamp<int64_t>(heard[final_count - 1].segment.end_ms, kLeastForgotten, std::max(now, kLeastForgotten)));
  } else if (heard.empty() && now > 2 * int64_t{options_.step_ms}) {
    // Nobody spoke; a word that just began is kept.
    forget(now - options_.step_ms);
  }
  if (kept_ms() >= options_.longest_ms) forget(kept_ms() - options_.step_ms);
}

void AudioStream::hand_out(const std::vector<Heard> &heard, size_t final_count) {
  bool wanted = true;
  const auto tell = [&](const Heard &one, bool is_final) {
    se_audio_segment segment = one.segment;
    std::vector<se_audio_word> words = one.words;
    std::vector<se_audio_token> tokens = one.tokens;
    for (size_t i = 0; i < words.size(); ++i) {
      words[i].text = one.texts[i].c_str();
      words[i].start_ms += offset_ms_;
      words[i].end_ms += offset_ms_;
    }
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i].text = one.texts[words.size() + i].c_str();
    segment.start_ms += offset_ms_;
    segment.end_ms =
        offset_ms_ + std::clamp(segment.end_ms, one.segment.start_ms, std::max(one.segment.start_ms, kept_ms()));
    segment.text = one.text.c_str();
    segment.language = one.language.c_str();
    segment.words = words.empty() ? nullptr : words.data();
    segment.tokens = tokens.data();
    wanted = wanted && on_segment_(segment, is_final);
  };
  for (size_t i = 0; i < final_count; ++i) {
    said_ += heard[i].text;
    tell(heard[i], true);
  }
  if (said_.size() > kPromptBytes) {
    // From a word's beginning on.
    const size_t space = said_.find(' ', said_.size() - kPromptBytes);
    said_ = space == std::string::npos ? "" : said_.substr(space);
  }
  if (final_count < heard.size()) {
    Heard rest = heard[final_count];
    for (size_t i = final_count + 1; i < heard.size(); ++i) {
      rest.text += heard[i].text;
      rest.segment.end_ms = heard[i].segment.end_ms;
    }
    // Words and tokens are told when they are final.
    rest.words.clear();
    rest.tokens.clear();
    rest.segment.word_count = 0;
    rest.segment.token_count = 0;
    tell(rest, false);
  }
  if (!wanted) throw Error(SE_CANCELLED, "the receiver stopped the call");
}

void AudioStream::forget(int64_t milliseconds) {
  const size_t count = std::min(kept_.size(), static_cast<size_t>(milliseconds * kSamplesPerMs));
  kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(count));
  offset_ms_ += milliseconds;
}

}  // namespace se
