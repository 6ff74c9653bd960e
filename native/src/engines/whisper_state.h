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

// The same random numbers for every call, whatever was transcribed before.
void reseed_whisper(whisper_context *context);

// Since the last whisper_reset_timings.
WhisperTimings whisper_timings_of(whisper_context *context);

// Bytes of the weights as they lie in memory.
size_t whisper_weights_bytes(whisper_context *context);

}  // namespace se
