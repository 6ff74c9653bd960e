// whisper.cpp itself, compiled as part of this file: its state is hidden, and neither its abort callback (asked only
// between whole computations) nor its random numbers (they run on from call to call) can be helped from outside.
#include "whisper_state.h"

#include <ggml-cpu.h>

#include "whisper.cpp"

namespace se {

namespace {

void set_abort(const std::vector<ggml_backend_t> &backends, ggml_abort_callback abort, void *data) {
  for (ggml_backend_t backend : backends) {
    if (ggml_backend_is_cpu(backend)) ggml_backend_cpu_set_abort_callback(backend, abort, data);
  }
}

}  // namespace

void set_whisper_abort(whisper_context *context, ggml_abort_callback abort, void *data) {
  set_abort(context->state->backends, abort, data);
  if (context->state->vad_context != nullptr) set_abort(context->state->vad_context->backends, abort, data);
}

void renew_whisper(whisper_context *context) {
  whisper_state &state = *context->state;
  for (int i = 0; i < WHISPER_MAX_DECODERS; ++i) {
    state.decoders[i].rng = std::mt19937(static_cast<unsigned>(i));
  }
  state.has_vad_segments = false;
  state.vad_segments.clear();
  state.vad_mapping_table.clear();
}

bool load_whisper_vad(whisper_context *context, const char *path) {
  whisper_vad_context_params parameters = whisper_vad_default_context_params();
  // It is so small that a second thread only waits.
  parameters.n_threads = 1;
  context->state->vad_context = whisper_vad_init_from_file_with_params(path, parameters);
  return context->state->vad_context != nullptr;
}

int64_t whisper_original_time(whisper_context *context, int64_t time) {
  const whisper_state &state = *context->state;
  return state.has_vad_segments ? map_processed_to_original_time(time, state.vad_mapping_table) : time;
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
