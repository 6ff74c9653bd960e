// What a transcription is asked for and what comes out of it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace se {

constexpr int kSamplesPerSecond = 16000;

struct TranscriptionRequest {
  std::string language;  // empty: auto-detected
  bool translate = false;
  std::string prompt;
  float temperature = 0;
  float temperature_step = 0.2F;
  int32_t beam_size = 0;
  bool word_timestamps = false;
  uint32_t max_segment_characters = 0;
  bool vad = false;
  bool condition_on_previous_text = true;  // the text of a window helps to read the next one
};

struct Word {
  int64_t start_ms;
  int64_t end_ms;
  std::string text;  // with the space before it
  float probability;
};

struct Token {
  int32_t id;
  float probability;
  std::string text;
};

struct Segment {
  int64_t start_ms = 0;
  int64_t end_ms = 0;
  std::string text;
  std::string language;
  float probability = 0;
  float no_speech_probability = 0;
  std::vector<Word> words;
  std::vector<Token> tokens;
};

struct TranscriptionResult {
  std::string language;
  float language_probability = 0;
  uint32_t segments = 0;
  double audio_seconds = 0;
  double first_segment_seconds = 0;
  double total_seconds = 0;
  double encode_seconds = 0;
  double decode_seconds = 0;
};

// Both return false to stop the call.
using SegmentCallback = std::function<bool(const Segment &)>;
using ProgressCallback = std::function<bool(float done)>;

}  // namespace se
