// The parts of whisper.cpp's state that its own header does not expose.
#pragma once

#include <ggml.h>
#include <whisper.h>

#include <functional>
#include <span>
#include <vector>

namespace se {

struct WhisperTimings {
  double encode_seconds;
  double decode_seconds;
};

// What whisper_full does from window to window, by the callbacks that the constructor sets in `parameters`: it takes
// the probability that nobody speaks from the right place, and forgets the text before a window where that is no help:
// if the caller says so, after text that was chosen at a high temperature, and after a loop.
class WhisperWindows {
 public:
  // Outlives the call.
  WhisperWindows(whisper_full_params &parameters, bool conditions_on_previous_text);
  WhisperWindows(const WhisperWindows &) = delete;
  WhisperWindows &operator=(const WhisperWindows &) = delete;

 private:
  void begin(const whisper_context &context, whisper_state &state);

  float temperature_;
  float temperature_step_;
  bool conditions_on_previous_text_;
  int attempts_ = 0;  // of the window, at rising temperatures
};

// Calls `abort` between the steps of every computation, not only before each: an encoder may run for seconds.
void set_whisper_abort(whisper_context *context, ggml_abort_callback abort, void *data);

// Removes what earlier calls left behind: random numbers start again, and the VAD's times are dropped.
void reset_whisper(whisper_context *context);

// Computes the spectrogram of the samples, and for word timestamps their loudness; whisper_full uses both when it is
// given no samples. whisper.cpp does this in one go, which takes seconds for long audio; here it is done in pieces,
// with `stopped` called between them on this thread. False: it was stopped.
bool compute_whisper_mel(whisper_context *context, std::span<const float> samples, int threads, bool with_loudness,
                         const std::function<bool()> &stopped);

// The parts of the samples that the VAD detects as speech, concatenated. False: it failed, or was aborted.
bool extract_whisper_speech(whisper_context *context, const whisper_full_params &parameters,
                            std::span<const float> samples, std::vector<float> &speech);

// Loads the VAD model, so that whisper.cpp does not load it during a call. False: it cannot.
bool load_whisper_vad(whisper_context *context, const char *path);

// In hundredths of a second.
struct WhisperTimes {
  int64_t start;
  int64_t end;
};

// Both map times in the detected speech to those in the whole audio. whisper.cpp's own mapping lets what is said after
// a silence begin where that before it ended.
WhisperTimes whisper_word_times(whisper_context *context, WhisperTimes times);
WhisperTimes whisper_segment_times(whisper_context *context, int index);

// Since the last whisper_reset_timings.
WhisperTimings whisper_timings_of(whisper_context *context);

// Bytes of the weights as they lie in memory.
size_t whisper_weights_bytes(whisper_context *context);

}  // namespace se
