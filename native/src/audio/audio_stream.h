// Live audio: which part is transcribed again, and when a segment becomes final.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "audio/transcript.h"

namespace se {

struct StreamOptions {
  uint32_t step_ms;
  uint32_t silence_ms;
  uint32_t longest_ms;
  TranscriptionRequest request;
};

class AudioStream {
 public:
  // Passes the segments of these samples to the callback, in order.
  using Transcribe =
      std::function<void(std::span<const float> samples, const TranscriptionRequest &, const SegmentCallback &)>;
  // False stops the call.
  using Callback = std::function<bool(const Segment &, bool is_final)>;

  // INVALID_ARGUMENT: options out of range.
  AudioStream(StreamOptions options, Transcribe transcribe, Callback on_segment);

  void push(std::span<const float> samples);
  void finish();

 private:
  std::vector<Segment> transcribe_pending();
  void step(bool is_last);
  void pass_on(const std::vector<Segment> &segments, size_t final_count);
  void drop(int64_t milliseconds);
  int64_t pending_ms() const;

  StreamOptions options_;
  Transcribe transcribe_;
  Callback on_segment_;
  std::vector<float> pending_;  // not final yet
  size_t new_samples_ = 0;      // of these, not transcribed yet
  int64_t offset_ms_ = 0;       // of pending_
  std::string context_;         // the end of the final text, as a prompt
};

}  // namespace se
