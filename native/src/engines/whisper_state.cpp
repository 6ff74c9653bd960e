// whisper.cpp itself, compiled as part of this file: its state is hidden, and neither its abort callback (called only
// between whole computations) nor its random numbers (they continue from call to call) can be changed from outside.
#include "engines/whisper_state.h"

#include <ggml-cpu.h>

#include <array>
#include <atomic>
#include <set>
#include <thread>

// A better overload for the prompt of a window. whisper.cpp would compute the logits after its last token only, and
// take the probability that nobody speaks from what an earlier call left in the first row. It belongs after the start
// token (openai/whisper, decoding.py), which at most three tokens follow.
template <typename Batch>
void whisper_batch_prep_legacy(Batch &batch, whisper_token *tokens, size_t count, int past, int sequence) {
  whisper_batch_prep_legacy(batch, static_cast<const whisper_token *>(tokens), static_cast<int>(count), past, sequence);
  for (size_t i = count - std::min<size_t>(count, 4); i < count; ++i) batch.logits[i] = 1;
}

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
// Text that was chosen at a higher temperature is no context for what follows.
constexpr float kWarmest = 0.5F;
// OpenAI's program takes text that compresses better than this for a loop.
constexpr double kLoopRatio = 2.4;
constexpr size_t kFewestTriples = 32;
// Whisper's times may be wrong by this much, in hundredths of a second.
constexpr int64_t kTimeError = 10;

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

using Speech = whisper_state::vad_segment_info;

// Of a time with what was detected as speech; negative: how far it is away.
int64_t overlap(const Speech &speech, WhisperTimes times) {
  return std::min(times.end, speech.vad_end) - std::max(times.start, speech.vad_start);
}

int64_t original_time(const Speech &speech, int64_t time) {
  return std::clamp(speech.orig_start + time - speech.vad_start, speech.orig_start, speech.orig_end);
}

// Most of its triples of words, or parts of words, occurred before.
bool repeats_itself(const std::vector<whisper_token> &tokens, whisper_token end_of_text) {
  std::vector<whisper_token> text;
  std::copy_if(tokens.begin(), tokens.end(), std::back_inserter(text), [&](auto token) { return token < end_of_text; });
  if (text.size() < kFewestTriples + 2) return false;
  std::set<std::array<whisper_token, 3>> different;
  for (size_t i = 2; i < text.size(); ++i) different.insert({text[i - 2], text[i - 1], text[i]});
  return static_cast<double>(different.size()) * kLoopRatio < static_cast<double>(text.size() - 2);
}

// After the start token of the prompt that was just computed.
float no_speech_probability(const whisper_context &context, const whisper_state &state) {
  const whisper_batch &batch = state.batch;
  int row = batch.n_tokens - 1;
  while (row > 0 && batch.token[row] != context.vocab.token_sot) --row;
  const auto count = static_cast<std::ptrdiff_t>(context.vocab.id_to_token.size());
  const float *logits = state.logits.data() + static_cast<std::ptrdiff_t>(row) * context.model.hparams.n_vocab;
  const float greatest = *std::max_element(logits, logits + count);
  double sum = 0;
  for (std::ptrdiff_t i = 0; i < count; ++i) sum += std::exp(static_cast<double>(logits[i] - greatest));
  return static_cast<float>(std::exp(static_cast<double>(logits[context.vocab.token_nosp] - greatest)) / sum);
}

}  // namespace

WhisperWindows::WhisperWindows(whisper_full_params &parameters, bool conditions_on_previous_text)
    : temperature_(parameters.temperature),
      temperature_step_(parameters.temperature_inc),
      conditions_on_previous_text_(conditions_on_previous_text) {
  parameters.encoder_begin_callback = [](whisper_context *context, whisper_state *state, void *self) {
    static_cast<WhisperWindows *>(self)->begin(*context, *state);
    return true;
  };
  parameters.encoder_begin_callback_user_data = this;
  parameters.logits_filter_callback = [](whisper_context *context, whisper_state *state, const whisper_token_data *,
                                         int count, float *, void *self) {
    // Before the first token of an attempt; the other calls may come from several threads.
    if (count > 0) return;
    ++static_cast<WhisperWindows *>(self)->attempts_;
    state->no_speech_prob = no_speech_probability(*context, *state);
  };
  parameters.logits_filter_callback_user_data = this;
}

void WhisperWindows::begin(const whisper_context &context, whisper_state &state) {
  const float temperature = temperature_ + temperature_step_ * static_cast<float>(attempts_ - 1);
  const bool forgets = !conditions_on_previous_text_ || temperature > kWarmest ||
                       repeats_itself(state.prompt_past1, context.vocab.token_eot);
  // The first window has the caller's prompt.
  if (attempts_ > 0 && forgets) state.prompt_past1.clear();
  attempts_ = 0;
}

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

WhisperTimes whisper_word_times(whisper_context *context, WhisperTimes times) {
  const whisper_state &state = *context->state;
  if (!state.has_vad_segments) return times;
  // Nobody goes on with a word after a silence.
  const auto &speech = state.vad_segments;
  const auto most = std::max_element(speech.begin(), speech.end(), [&](const Speech &one, const Speech &other) {
    return overlap(one, times) < overlap(other, times);
  });
  return {original_time(*most, times.start), original_time(*most, times.end)};
}

WhisperTimes whisper_segment_times(whisper_context *context, int index) {
  const whisper_state &state = *context->state;
  const whisper_segment &segment = state.result_all[static_cast<size_t>(index)];
  const WhisperTimes times = {segment.t0, segment.t1};
  if (!state.has_vad_segments) return times;
  // It begins where it is more than the end of what was said before a silence, and ends likewise.
  const auto &speech = state.vad_segments;
  const auto is_touched = [&](const Speech &one) { return overlap(one, times) > 0; };
  auto first = std::find_if(speech.begin(), speech.end(), is_touched);
  if (first == speech.end()) return whisper_word_times(context, times);
  auto last = std::find_if(speech.rbegin(), speech.rend(), is_touched).base() - 1;
  const auto is_error = [&](auto one, auto other) {
    return overlap(*one, times) <= kTimeError && overlap(*one, times) < overlap(*other, times);
  };
  while (first != last && is_error(first, last)) ++first;
  while (first != last && is_error(last, first)) --last;
  return {original_time(*first, times.start), original_time(*last, times.end)};
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
