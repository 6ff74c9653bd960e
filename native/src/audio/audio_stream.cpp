// Transcribes again and again what is not final. A segment is final when it ended a while ago, or at the latest when so
// much audio is pending that the next step might not fit into whisper.cpp's window.
#include "audio/audio_stream.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/status.h"
#include "base/utf8.h"

namespace se {
namespace {

constexpr int64_t kSamplesPerMs = kSamplesPerSecond / 1000;
// The preceding text helps; more of it only makes repetitions likelier.
constexpr size_t kPromptBytes = 200;
constexpr int64_t kLeastDropped = 100;  // ms

void check_range(uint32_t value, uint32_t least, uint32_t most, const char *name) {
  require(value >= least && value <= most, std::string(name) + " is not from " + std::to_string(least) + " to " +
                                               std::to_string(most) + ": " + ticked(std::to_string(value)));
}

}  // namespace

AudioStream::AudioStream(StreamOptions options, Transcribe transcribe, Callback on_segment)
    : options_(std::move(options)), transcribe_(std::move(transcribe)), on_segment_(std::move(on_segment)) {
  check_range(options_.step_ms, 100, 10000, "step_ms");
  check_range(options_.silence_ms, 0, 10000, "silence_ms");
  check_range(options_.longest_ms, 2000, 25000, "longest_ms");
}

int64_t AudioStream::pending_ms() const { return static_cast<int64_t>(pending_.size()) / kSamplesPerMs; }

void AudioStream::push(std::span<const float> samples) {
  // All are checked before any is taken.
  require(std::all_of(samples.begin(), samples.end(), [](float sample) { return std::isfinite(sample); }),
          "the samples contain a number that is not finite");
  const size_t full = static_cast<size_t>(options_.step_ms * kSamplesPerMs);
  while (!samples.empty()) {
    const size_t count = std::min(samples.size(), full - new_samples_);
    pending_.insert(pending_.end(), samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(count));
    samples = samples.subspan(count);
    new_samples_ += count;
    if (new_samples_ == full) step(false);
  }
}

void AudioStream::finish() {
  if (!pending_.empty()) step(true);
  pending_.clear();
  new_samples_ = 0;
  offset_ms_ = 0;
  context_.clear();
}

std::vector<Segment> AudioStream::transcribe_pending() {
  std::vector<Segment> segments;
  TranscriptionRequest request = options_.request;
  if (request.condition_on_previous_text) request.prompt = to_utf8(request.prompt + context_);
  transcribe_(pending_, request, [&](const Segment &segment) {
    segments.push_back(segment);
    return true;
  });
  return segments;
}

void AudioStream::step(bool is_last) {
  // Also after a failure: the next push goes on with the samples after it.
  new_samples_ = 0;
  const std::vector<Segment> segments = transcribe_pending();
  const int64_t now = pending_ms();
  const bool is_full = now >= options_.longest_ms;
  size_t final_count = 0;
  while (final_count < segments.size() && (is_last || segments[final_count].end_ms + options_.silence_ms <= now)) {
    ++final_count;
  }
  // The last segment may be cut off, so it is kept unless it is the only one.
  if (is_full && final_count == 0) final_count = std::max<size_t>(segments.size(), 2) - 1;
  final_count = std::min(final_count, segments.size());
  pass_on(segments, final_count);
  if (final_count > 0) {
    // At least something, whatever times the model invents: or the same segment would be final again.
    drop(std::clamp<int64_t>(segments[final_count - 1].end_ms, kLeastDropped, std::max(now, kLeastDropped)));
  } else if (segments.empty() && now > 2 * int64_t{options_.step_ms}) {
    // Silence; a word that has just begun is kept.
    drop(now - options_.step_ms);
  }
  if (pending_ms() >= options_.longest_ms) drop(pending_ms() - options_.step_ms);
}

void AudioStream::pass_on(const std::vector<Segment> &segments, size_t final_count) {
  bool is_wanted = true;
  const auto report = [&](Segment segment, bool is_final) {
    for (Word &word : segment.words) {
      word.start_ms += offset_ms_;
      word.end_ms += offset_ms_;
    }
    segment.end_ms =
        offset_ms_ + std::clamp(segment.end_ms, segment.start_ms, std::max(segment.start_ms, pending_ms()));
    segment.start_ms += offset_ms_;
    is_wanted = is_wanted && on_segment_(segment, is_final);
  };
  for (size_t i = 0; i < final_count; ++i) {
    context_ += segments[i].text;
    report(segments[i], true);
  }
  if (context_.size() > kPromptBytes) {
    // From the start of a word.
    const size_t space = context_.find(' ', context_.size() - kPromptBytes);
    context_ = space == std::string::npos ? "" : context_.substr(space);
  }
  if (final_count < segments.size()) {
    Segment partial = segments[final_count];
    for (size_t i = final_count + 1; i < segments.size(); ++i) {
      partial.text += segments[i].text;
      partial.end_ms = segments[i].end_ms;
    }
    // Words and tokens are reported when they are final.
    partial.words.clear();
    partial.tokens.clear();
    report(std::move(partial), false);
  }
  if (!is_wanted) throw Error(SE_CANCELLED, "the callback stopped the call");
}

void AudioStream::drop(int64_t milliseconds) {
  const size_t count = std::min(pending_.size(), static_cast<size_t>(milliseconds * kSamplesPerMs));
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(count));
  offset_ms_ += milliseconds;
}

}  // namespace se
