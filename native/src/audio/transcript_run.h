// One transcription: what whisper.cpp's callbacks work on, and how its segments are passed on.
#pragma once

#include <chrono>
#include <string>

#include "audio/transcript.h"
#include "base/clock.h"
#include "base/interrupt.h"

struct whisper_context;

namespace se {

struct TranscriptCallbacks {
  SegmentCallback on_segment;
  ProgressCallback on_progress;
};

class TranscriptRun {
 public:
  // All of them outlive it.
  TranscriptRun(const Interrupt &interrupt, const TranscriptCallbacks &callbacks, bool with_words,
                TranscriptionResult &result)
      : result(result), interrupt_(interrupt), callbacks_(callbacks), with_words_(with_words) {}

  // Called between pieces of work on the caller's thread; reports the progress again if that was a while ago, so that
  // the callback can stop the call at any time.
  bool stopped() {
    if (Clock::now() - reported_ >= kLongestSilence) progress(done_);
    return is_cancelled_ || interrupt_.raised();
  }

  // Throws the reason if it was stopped.
  void check() const {
    if (is_cancelled_) throw Error(SE_CANCELLED, "the callback stopped the call");
    interrupt_.check();
  }

  void progress(float done) {
    done_ = done;
    is_cancelled_ = is_cancelled_ || !callbacks_.on_progress(done);
    reported_ = Clock::now();
  }

  // Passes on the last `count` segments of `context`.
  void segments(whisper_context *context, int count);

  double seconds() const { return seconds_since(begin_); }

  TranscriptionResult &result;

 private:
  static constexpr std::chrono::milliseconds kLongestSilence{100};

  Segment segment_at(whisper_context *context, int index) const;

  const Interrupt &interrupt_;
  const TranscriptCallbacks &callbacks_;
  bool with_words_;
  bool is_cancelled_ = false;
  float done_ = 0;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point reported_ = begin_;
};

}  // namespace se
