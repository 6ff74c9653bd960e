// Live audio on an AudioManager: which part is listened to again, and when a segment becomes final.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "audio/audio_manager.h"

namespace se {

struct StreamOptions {
  uint32_t step_ms;
  uint32_t silence_ms;
  uint32_t longest_ms;
  TranscribeOptions transcribe;
};

class AudioStream {
 public:
  using Receiver = std::function<bool(const se_audio_segment &, bool is_final)>;

  // INVALID_ARGUMENT: options that cannot be. `audio` outlives it.
  AudioStream(AudioManager &audio, StreamOptions options, Receiver on_segment);

  void push(std::span<const float> samples);
  void finish();

 private:
  // A segment that belongs to us; times from the beginning of what is kept.
  struct Heard;

  std::vector<Heard> listen();
  void step(bool is_last);
  void hand_out(const std::vector<Heard> &heard, size_t final_count);
  void forget(int64_t milliseconds);
  int64_t kept_ms() const;

  AudioManager &audio_;
  StreamOptions options_;
  Receiver on_segment_;
  std::vector<float> kept_;  // not final yet
  size_t unheard_ = 0;       // of these, samples that nobody has listened to
  int64_t offset_ms_ = 0;    // of kept_
  std::string said_;         // the end of what is final
};

}  // namespace se
