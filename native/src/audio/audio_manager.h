// AudioManager: one opened Whisper model; what se_audio_* does, with exceptions.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/call_guard.h"
#include "formats/whisper_file.h"
#include "sphere_edge.h"

struct whisper_context;

namespace se {

struct TranscribeOptions {
  std::string language;  // empty: found out
  bool translate;
  std::string prompt;
  float temperature;
  float temperature_step;
  int32_t beam_size;
  bool word_timestamps;
  uint32_t timeout_ms;
  uint32_t max_segment_characters;
  bool voice_detection;
};

class TranscriptRun;

class AudioManager {
 public:
  // The segment is valid during the call; false stops.
  using SegmentReceiver = std::function<bool(const se_audio_segment &)>;
  using ProgressReceiver = std::function<bool(float done)>;

  // `threads` 0: the performance cores; `voice_detector` empty: the bundle's. FORMAT_MISMATCH: a text model or a bundle
  // of another task.
  static std::unique_ptr<AudioManager> open(const std::filesystem::path &path, int threads,
                                            const std::filesystem::path &voice_detector);

  // INVALID_ARGUMENT if this model cannot do it.
  void check(const TranscribeOptions &options) const;
  // `result` is filled also when an interrupt is thrown.
  void transcribe(std::span<const float> samples, const TranscribeOptions &options, const SegmentReceiver &on_segment,
                  const ProgressReceiver &on_progress, se_audio_result &result);
  void cancel() { turn_.cancel(); }
  void wait() { turn_.wait(); }
  std::string info_json();

 private:
  AudioManager(const std::filesystem::path &file, int threads);
  void load_voice_detector(const std::filesystem::path &file);
  // Makes the spectrogram of the samples, for the computations that follow.
  void listen(std::span<const float> samples, bool with_loudness, TranscriptRun &run);
  // Of what it listened to, if the caller named none.
  std::string choose_language(const TranscribeOptions &options, const TranscriptRun &run, se_audio_result &result);

  Turn turn_;
  WhisperHeader header_;
  int threads_;
  std::unique_ptr<whisper_context, void (*)(whisper_context *)> context_;
  // Empty: none. whisper.cpp wants to be told the file again, although it is loaded.
  std::string voice_detector_;
  double load_seconds_ = 0;
};

}  // namespace se
