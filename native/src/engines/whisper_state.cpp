// whisper.cpp itself, compiled as part of this file: its state is hidden, and neither its abort callback (asked only
// between whole computations) nor its random numbers (they run on from call to call) can be helped from outside.
#include "whisper_state.h"

#include <ggml-cpu.h>

#include "whisper.cpp"

namespace se {

void set_whisper_abort(whisper_context *context, ggml_abort_callback abort, void *data) {
  for (ggml_backend_t backend : context->state->backends) {
    if (ggml_backend_is_cpu(backend)) ggml_backend_cpu_set_abort_callback(backend, abort, data);
  }
}

void reseed_whisper(whisper_context *context) {
  for (int i = 0; i < WHISPER_MAX_DECODERS; ++i) {
    context->state->decoders[i].rng = std::mt19937(static_cast<unsigned>(i));
  }
}

WhisperTimings whisper_timings_of(whisper_context *context) {
  const whisper_state &state = *context->state;
  return {1e-6 * static_cast<double>(state.t_mel_us + state.t_encode_us),
          1e-6 * static_cast<double>(state.t_decode_us + state.t_batchd_us + state.t_prompt_us + state.t_sample_us)};
}

size_t whisper_weights_bytes(whisper_context *context) {
  size_t bytes = 0;
  for (ggml_backend_buffer_t buffer : context->model.buffers) bytes += ggml_backend_buffer_get_size(buffer);
  return bytes;
}

}  // namespace se
