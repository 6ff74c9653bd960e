// The parts of whisper.cpp's hidden state that its own header does not reach.
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

// Asks `abort` between the steps of every computation, not only before each: an encoder may run for seconds.
void set_whisper_abort(whisper_context *context, ggml_abort_callback abort, void *data);

// Nothing of the calls before is left: the same random numbers, no times of a voice detector.
void renew_whisper(whisper_context *context);

// Makes the spectrogram of the samples, and for the times of words their loudness, which whisper_full then finds when
// it is given no samples. What whisper.cpp does in one go is done in pieces here: it takes seconds for long audio, and
// `stopped` is asked between them, on this thread. False: it was stopped.
bool listen_whisper(whisper_context *context, std::span<const float> samples, int threads, bool with_loudness,
                    const std::function<bool()> &stopped);

// What of the samples the voice detector takes for speech, one piece after the other. False: it failed, or was aborted.
bool detect_voices(whisper_context *context, const whisper_full_params &parameters, std::span<const float> samples,
                   std::vector<float> &speech);

// Loads a voice detector, so that none is looked for when one is asked for. False: it cannot.
bool load_whisper_vad(whisper_context *context, const char *path);

// The time in the whole audio of one in what the voice detector left of it, both in hundredths of a second.
int64_t whisper_original_time(whisper_context *context, int64_t time);

// Since the last whisper_reset_timings.
WhisperTimings whisper_timings_of(whisper_context *context);

// Bytes of the weights as they lie in memory.
size_t whisper_weights_bytes(whisper_context *context);

}  // namespace se
