// One transcription: what whisper.cpp's callbacks work on, and how its segments are handed out.
#pragma once

#include <chrono>

#include "audio.h"
#include "interrupt.h"

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

  bool stopped() const { return refused_ || interrupt_.raised(); }

  // Throws why it was stopped, if it was.
  void check() const {
    if (refused_) throw Error(SE_CANCELLED, "the receiver stopped the call");
    interrupt_.check();
  }

  void progress(float done) { refused_ = refused_ || !on_progress_(done); }

  // Hands out the last `count` segments of `context`.
  void segments(whisper_context *context, int count);

  Clock::time_point begin() const { return begin_; }

 private:
  void hand_out(whisper_context *context, int index);

  const Interrupt &interrupt_;
  const AudioManager::SegmentReceiver &on_segment_;
  const AudioManager::ProgressReceiver &on_progress_;
  bool with_words_;
  se_audio_result &result_;
  bool refused_ = false;
  Clock::time_point begin_ = Clock::now();
};

}  // namespace se
