// The parts of whisper.cpp's hidden state that its own header does not reach.
#pragma once

#include <ggml.h>
#include <whisper.h>

namespace se {

struct WhisperTimings {
  double encode_seconds;
  double decode_seconds;
};

// Asks `abort` between the steps of every computation, not only before each: an encoder may run for seconds.
void set_whisper_abort(whisper_context *context, ggml_abort_callback abort, void *data);

// Nothing of the calls before is left: the same random numbers, no times of a voice detector.
void renew_whisper(whisper_context *context);

// Loads a voice detector, so that none is looked for when one is asked for. False: it cannot.
bool load_whisper_vad(whisper_context *context, const char *path);

// The time in the whole audio of one in what the voice detector left of it, both in hundredths of a second.
int64_t whisper_original_time(whisper_context *context, int64_t time);

// Since the last whisper_reset_timings.
WhisperTimings whisper_timings_of(whisper_context *context);

// Bytes of the weights as they lie in memory.
size_t whisper_weights_bytes(whisper_context *context);

}  // namespace se
