// One transcription: what whisper.cpp's callbacks work on, and how its segments are handed out.
#pragma once

#include <chrono>

#include "audio/audio_manager.h"
#include "base/interrupt.h"

struct whisper_context;

namespace se {

class TranscriptRun {
 public:
  using Clock = std::chrono::steady_clock;

  // All of them outlive it.
  TranscriptRun(const Interrupt &interrupt, const AudioManager::SegmentReceiver &on_segment,
                const AudioManager::ProgressReceiver &on_progress, bool with_words, se_audio_result &result)
      : interrupt_(interrupt),
        on_segment_(on_segment),
        on_progress_(on_progress),
        with_words_(with_words),
        result_(result) {}

  // Asked between pieces of work on the caller's thread; there its progress is told when that was a while ago, so that
  // a receiver can stop the call at any time.
  bool stopped() {
    if (Clock::now() - told_ >= kLongestQuiet) progress(done_);
    return refused_ || interrupt_.raised();
  }

  // Throws why it was stopped, if it was.
  void check() const {
    if (refused_) throw Error(SE_CANCELLED, "the receiver stopped the call");
    interrupt_.check();
  }

  void progress(float done) {
    done_ = done;
    refused_ = refused_ || !on_progress_(done);
    told_ = Clock::now();
  }

  // Hands out the last `count` segments of `context`.
  void segments(whisper_context *context, int count);

  Clock::time_point begin() const { return begin_; }

 private:
  static constexpr std::chrono::milliseconds kLongestQuiet{100};

  void hand_out(whisper_context *context, int index);

  const Interrupt &interrupt_;
  const AudioManager::SegmentReceiver &on_segment_;
  const AudioManager::ProgressReceiver &on_progress_;
  bool with_words_;
  se_audio_result &result_;
  bool refused_ = false;
  float done_ = 0;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point told_ = begin_;
};

}  // namespace se
