// AudioManager: one open Whisper model; what se_audio_* does, with exceptions.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "audio/transcript.h"
#include "base/interrupt.h"
#include "formats/whisper_file.h"

struct whisper_context;

namespace se {

class TranscriptRun;

// Used by one thread at a time.
class AudioManager {
 public:
  static constexpr char kTask[] = "audio";

  // `vad_model` empty: the bundle's. FORMAT_MISMATCH: a text model or a bundle of another task.
  static std::unique_ptr<AudioManager> open(const std::filesystem::path &path, int threads,
                                            const std::filesystem::path &vad_model);

  // INVALID_ARGUMENT if this model cannot do it.
  void check(const TranscriptionRequest &request) const;
  static void check_samples(std::span<const float> samples);
  // Segments go to `run`, which the caller made for this call.
  void transcribe(std::span<const float> samples, const TranscriptionRequest &request, TranscriptRun &run);
  std::string info_json() const;

 private:
  AudioManager(const std::filesystem::path &file, int threads);
  void load_vad(const std::filesystem::path &file);
  // Computes the spectrogram of the samples, for the computations that follow.
  void compute_spectrogram(std::span<const float> samples, bool with_loudness, TranscriptRun &run);
  // Of the spectrogram, unless the request has one.
  std::string detect_language(const TranscriptionRequest &request, TranscriptRun &run);
  void run_whisper(std::span<const float> samples, const TranscriptionRequest &request, TranscriptRun &run);

  WhisperHeader header_;
  int threads_;
  std::unique_ptr<whisper_context, void (*)(whisper_context *)> context_;
  // Empty: none. whisper.cpp needs the path again although the model is loaded.
  std::string vad_model_;
  double load_seconds_ = 0;
};

}  // namespace se
