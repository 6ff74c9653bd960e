// whisper.cpp itself, compiled as part of this file: its state is hidden, and neither its abort callback (called only
// between whole computations) nor its random numbers (they continue from call to call) can be changed from outside.
#include "engines/whisper_state.h"

#include <ggml-cpu.h>

#include <atomic>
#include <thread>

#include "whisper.cpp"

namespace se {

namespace {

void set_abort(const std::vector<ggml_backend_t> &backends, ggml_abort_callback abort, void *data) {
  for (ggml_backend_t backend : backends) {
    if (ggml_backend_is_cpu(backend)) ggml_backend_cpu_set_abort_callback(backend, abort, data);
  }
}

constexpr int64_t kPadding = WHISPER_N_FFT / 2;
constexpr int64_t kWindow = 30 * WHISPER_SAMPLE_RATE;
// About ten milliseconds of work each.
constexpr int kFramesOfPiece = 256;
constexpr size_t kSamplesOfPiece = 160000;
constexpr int kLoudnessReach = 32;

// Runs work(0) to work(count - 1) on `threads` threads, in any order. False: `stopped` returned true, and some were
// skipped.
bool in_pieces(int count, int threads, const std::function<bool()> &stopped, const std::function<void(int)> &work) {
  std::atomic<int> next = 0;
  std::atomic<bool> is_stopped = false;
  std::vector<std::thread> others;
  for (int i = 1; i < std::min(threads, count); ++i) {
    others.emplace_back([&] {
      for (int piece = next++; piece < count && !is_stopped; piece = next++) work(piece);
    });
  }
  for (int piece = next++; piece < count && !is_stopped; piece = next++) {
    work(piece);
    is_stopped = stopped();
  }
  for (std::thread &other : others) other.join();
  return !is_stopped;
}

// The samples with whisper.cpp's padding: a mirror image of the first ones, and a window of silence.
std::vector<float> padded(std::span<const float> samples) {
  std::vector<float> all(samples.size() + kWindow + 2 * kPadding);
  std::copy(samples.begin(), samples.end(), all.begin() + kPadding);
  std::reverse_copy(samples.begin() + 1, samples.begin() + 1 + kPadding, all.begin());
  return all;
}

// Whisper's scale: values are at most 8 below the loudest, and 1 becomes 0.
void normalize(std::vector<float> &levels) {
  const float least = *std::max_element(levels.begin(), levels.end()) - 8.0;
  for (float &level : levels) level = (std::max(level, least) + 4.0) / 4.0;
}

bool measure_loudness(whisper_state &state, std::span<const float> samples, int threads,
                      const std::function<bool()> &stopped) {
  state.energy.resize(samples.size());
  const int pieces = static_cast<int>((samples.size() + kSamplesOfPiece - 1) / kSamplesOfPiece);
  return in_pieces(pieces, threads, stopped, [&](int piece) {
    const size_t begin = piece * kSamplesOfPiece;
    const size_t end = std::min(begin + kSamplesOfPiece, samples.size());
    // With the neighbours that each mean reaches to.
    const size_t first = begin - std::min<size_t>(begin, kLoudnessReach);
    const size_t last = std::min(end + kLoudnessReach, samples.size());
    const auto loudness = get_signal_energy(samples.data() + first, static_cast<int>(last - first), kLoudnessReach);
    std::copy_n(loudness.begin() + (begin - first), end - begin, state.energy.begin() + begin);
  });
}

}  // namespace

void set_whisper_abort(whisper_context *context, ggml_abort_callback abort, void *data) {
  set_abort(context->state->backends, abort, data);
  if (context->state->vad_context != nullptr) set_abort(context->state->vad_context->backends, abort, data);
}

void reset_whisper(whisper_context *context) {
  whisper_state &state = *context->state;
  for (int i = 0; i < WHISPER_MAX_DECODERS; ++i) {
    state.decoders[i].rng = std::mt19937(static_cast<unsigned>(i));
  }
  state.has_vad_segments = false;
  state.vad_segments.clear();
  state.vad_mapping_table.clear();
}

bool compute_whisper_mel(whisper_context *context, std::span<const float> samples, int threads, bool with_loudness,
                         const std::function<bool()> &stopped) {
  const int64_t begin = ggml_time_us();
  whisper_state &state = *context->state;
  const whisper_filters &filters = context->model.filters;
  const std::vector<float> all = padded(samples);
  const int count = static_cast<int>(samples.size() + kPadding);
  whisper_mel &mel = state.mel;
  mel.n_mel = filters.n_mel;
  mel.n_len = static_cast<int>((all.size() - WHISPER_N_FFT) / WHISPER_HOP_LENGTH);
  mel.n_len_org = 1 + (count - WHISPER_N_FFT) / WHISPER_HOP_LENGTH;
  mel.data.resize(static_cast<size_t>(mel.n_mel) * mel.n_len);
  const int pieces = (mel.n_len + kFramesOfPiece - 1) / kFramesOfPiece;
  // Each of its workers takes every n-th frame of n workers: here there are as many workers as pieces.
  const auto work = [&](int piece) {
    log_mel_spectrogram_worker_thread(piece, global_cache.hann_window, all, count, WHISPER_N_FFT, WHISPER_HOP_LENGTH,
                                      pieces, filters, mel);
  };
  if (!in_pieces(pieces, threads, stopped, work)) return false;
  normalize(mel.data);
  state.t_mel_us += ggml_time_us() - begin;
  return !with_loudness || measure_loudness(state, samples, threads, stopped);
}

bool extract_whisper_speech(whisper_context *context, const whisper_full_params &parameters,
                            std::span<const float> samples, std::vector<float> &speech) {
  return whisper_vad(context, context->state, parameters, samples.data(), static_cast<int>(samples.size()), speech);
}

bool load_whisper_vad(whisper_context *context, const char *path) {
  whisper_vad_context_params parameters = whisper_vad_default_context_params();
  // It is so small that a second thread would only wait.
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
