// Opens Whisper models and runs whisper.cpp on them.
#include "audio/audio_manager.h"

#include <whisper.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "audio/transcript_run.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "engines/whisper_state.h"
#include "formats/bundle.h"
#include "formats/gguf.h"
#include "formats/vad_file.h"

namespace se {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMostSamples = size_t{4} * 3600 * kSamplesPerSecond;
// whisper.cpp finds nothing in less than a tenth of a second, and reads beyond the end of much less.
constexpr size_t kFewestSamples = kSamplesPerSecond / 10;
constexpr uint32_t kLongestSegment = 10000;
static_assert(kSamplesPerSecond == WHISPER_SAMPLE_RATE);

struct Files {
  fs::path model;
  fs::path vad_model;  // empty: none
};

Files files_of(const fs::path &path) {
  std::error_code error;
  if (!fs::exists(path, error)) throw Error(SE_NOT_FOUND, "no such file or folder: " + ticked(path.string()));
  if (!fs::is_directory(path)) {
    if (!has_gguf_magic(path)) return {path, {}};
    throw Error(SE_FORMAT_MISMATCH, ticked(path.string()) + " is a GGUF file, not a model of whisper.cpp",
                "open it with the text manager");
  }
  const Bundle bundle = read_bundle_for(path, AudioManager::kTask);
  if (bundle.engine != "whisper") throw bundle.other_engine();
  Files files = {bundle.file("model").path, {}};
  for (const BundleFile &file : bundle.files) {
    if (file.role == "voice-detector") files.vad_model = file.path;
  }
  return files;
}

std::string language_name(int id) {
  const char *name = whisper_lang_str(id);
  return name == nullptr ? "" : name;
}

void check_language(const std::string &language, const WhisperHeader &header) {
  // Its own table has full names too, and logs an error where there is none.
  const int id = language.size() <= 3 ? whisper_lang_id(language.c_str()) : -1;
  require(id >= 0, "no such language: " + ticked(to_utf8(language)),
          "give a code such as `en` or `de`, or leave it out");
  require(static_cast<uint32_t>(id) < header.languages(), "the model does not know " + ticked(language),
          header.multilingual() ? "" : "it is for English only");
}

// While it lives, whisper.cpp asks `run` whether to stop.
class AbortScope {
 public:
  AbortScope(whisper_context *context, TranscriptRun &run) : context_(context) {
    set_whisper_abort(context, stopped, &run);
  }
  ~AbortScope() { set_whisper_abort(context_, nullptr, nullptr); }
  AbortScope(const AbortScope &) = delete;
  AbortScope &operator=(const AbortScope &) = delete;

  static bool stopped(void *run) { return static_cast<TranscriptRun *>(run)->stopped(); }

 private:
  whisper_context *context_;
};

whisper_full_params parameters_for(const TranscriptionRequest &request, TranscriptRun &run) {
  auto parameters =
      whisper_full_default_params(request.beam_size > 1 ? WHISPER_SAMPLING_BEAM_SEARCH : WHISPER_SAMPLING_GREEDY);
  parameters.print_progress = false;
  parameters.print_timestamps = false;
  parameters.translate = request.translate;
  if (!request.prompt.empty()) parameters.initial_prompt = request.prompt.c_str();
  parameters.temperature = request.temperature;
  parameters.temperature_inc = request.temperature_step;
  if (request.beam_size > 1) parameters.beam_search.beam_size = request.beam_size;
  parameters.max_len = static_cast<int>(request.max_segment_characters);
  parameters.split_on_word = true;
  parameters.abort_callback = AbortScope::stopped;
  parameters.abort_callback_user_data = &run;
  parameters.new_segment_callback = [](whisper_context *context, whisper_state *, int count, void *data) {
    static_cast<TranscriptRun *>(data)->segments(context, count);
  };
  parameters.new_segment_callback_user_data = &run;
  parameters.progress_callback = [](whisper_context *, whisper_state *, int percent, void *data) {
    static_cast<TranscriptRun *>(data)->progress(static_cast<float>(percent) / 100);
  };
  parameters.progress_callback_user_data = &run;
  return parameters;
}

}  // namespace

AudioManager::AudioManager(const fs::path &file, int threads)
    : header_(read_whisper(file)), threads_(threads), context_(nullptr, whisper_free) {
  if (header_.tensor_bytes == 0) throw Error(SE_MODEL_CORRUPT, ticked(file.string()) + " has no weights");
  // whisper.cpp does not check the result of its allocations.
  const uint64_t free = memory_available_bytes();
  if (free != 0 && header_.tensor_bytes > free) {
    throw Error(SE_OOM_RAM,
                "the model's weights take " + std::to_string(header_.tensor_bytes >> 20) + " MiB and " +
                    std::to_string(free >> 20) + " MiB are free",
                "close other programs or take a smaller model");
  }
  whisper_context_params parameters = whisper_context_default_params();
  parameters.use_gpu = false;
  const EngineErrors errors;
  std::string reason;
  try {
    context_.reset(whisper_init_from_file_with_params(file.c_str(), parameters));
  } catch (const std::runtime_error &error) {
    reason = error.what();
  }
  if (context_) return;
  if (!errors.first().empty()) reason = errors.first();
  throw Error(SE_MODEL_CORRUPT,
              "whisper.cpp cannot load " + ticked(file.string()) + (reason.empty() ? "" : ": " + to_utf8(reason)),
              "download or convert the model again");
}

void AudioManager::load_vad(const fs::path &file) {
  check_vad(file);
  const EngineErrors errors;
  if (!load_whisper_vad(context_.get(), file.c_str())) {
    throw Error(SE_MODEL_CORRUPT, "whisper.cpp cannot load " + ticked(file.string()) + ": " + to_utf8(errors.first()));
  }
  vad_model_ = file.string();
}

std::unique_ptr<AudioManager> AudioManager::open(const fs::path &path, int threads, const fs::path &vad_model) {
  const auto begin = Clock::now();
  adopt_engine_logs();
  whisper_log_set(take_engine_log, nullptr);
  threads = checked_threads(threads);
  Files files = files_of(path);
  if (!vad_model.empty()) files.vad_model = vad_model;
  std::unique_ptr<AudioManager> audio(new AudioManager(files.model, threads));
  if (!files.vad_model.empty()) audio->load_vad(files.vad_model);
  audio->load_seconds_ = seconds_since(begin);
  return audio;
}

void AudioManager::check_samples(std::span<const float> samples) {
  require(!samples.empty(), "there are no samples");
  require(samples.size() <= kMostSamples, "the audio is longer than 4 hours", "transcribe it in parts");
  // A sum is not finite if one of its terms is not, and costs next to nothing.
  double sum = 0;
  for (const float sample : samples) sum += std::fabs(static_cast<double>(sample));
  require(std::isfinite(sum), "the samples contain a number that is not finite");
}

void AudioManager::check(const TranscriptionRequest &request) const {
  const auto is_fraction = [](float value) { return value >= 0 && value <= 1; };
  require(is_fraction(request.temperature), "the temperature is not from 0 to 1");
  require(is_fraction(request.temperature_step), "the temperature step is not from 0 to 1");
  // Smaller ones would only lead to hundreds of attempts.
  require(request.temperature_step == 0 || request.temperature_step >= 0.05F, "the temperature step is below 0.05");
  require(request.beam_size >= 0 && request.beam_size <= 8,
          "the beam size is not from 0 to 8: " + ticked(std::to_string(request.beam_size)));
  require(to_utf8(request.prompt) == request.prompt, "the prompt is not valid UTF-8");
  if (!request.language.empty()) check_language(request.language, header_);
  require(!request.translate || header_.multilingual(), "a model for English only cannot translate");
  require(request.max_segment_characters <= kLongestSegment,
          "segments of " + ticked(std::to_string(request.max_segment_characters)) +
              " characters are too long; expected at most " + ticked(std::to_string(kLongestSegment)));
  require(!request.vad || !vad_model_.empty(), "there is no VAD model",
          "package the model with one, or give one when opening it");
}

void AudioManager::compute_spectrogram(std::span<const float> samples, bool with_loudness, TranscriptRun &run) {
  const bool is_done =
      compute_whisper_mel(context_.get(), samples, threads_, with_loudness, [&run] { return run.stopped(); });
  run.check();
  if (!is_done) throw Error(SE_INTERNAL, "the spectrogram of the audio is not complete");
}

std::string AudioManager::detect_language(const TranscriptionRequest &request, TranscriptRun &run) {
  run.result.language_probability = 1;
  if (!request.language.empty()) return language_name(whisper_lang_id(request.language.c_str()));
  if (!header_.multilingual()) return "en";
  std::vector<float> probabilities(static_cast<size_t>(whisper_lang_max_id()) + 1);
  const int id = whisper_lang_auto_detect(context_.get(), 0, threads_, probabilities.data());
  run.check();
  if (id < 0) throw Error(SE_INTERNAL, "whisper.cpp detects no language");
  run.result.language_probability = probabilities[static_cast<size_t>(id)];
  return language_name(id);
}

void AudioManager::run_whisper(std::span<const float> samples, const TranscriptionRequest &request,
                               TranscriptRun &run) {
  whisper_context *context = context_.get();
  const bool with_loudness = request.word_timestamps || request.max_segment_characters > 0;
  const bool detects = request.language.empty() && header_.multilingual();
  if (detects) compute_spectrogram(samples, with_loudness, run);
  run.result.language = detect_language(request, run);
  whisper_full_params parameters = parameters_for(request, run);
  const WhisperWindows windows(parameters, request.condition_on_previous_text);
  parameters.n_threads = threads_;
  parameters.language = run.result.language.c_str();
  parameters.token_timestamps = with_loudness;
  std::vector<float> speech;
  if (request.vad) {
    parameters.vad = true;
    parameters.vad_model_path = vad_model_.c_str();
    const bool is_done = extract_whisper_speech(context, parameters, samples, speech);
    run.check();
    if (!is_done) throw Error(SE_INTERNAL, "the VAD model fails");
    samples = speech;
    parameters.vad = false;
  }
  int status = 0;
  if (samples.size() >= kFewestSamples) {
    if (request.vad || !detects) compute_spectrogram(samples, with_loudness, run);
    status = whisper_full(context, parameters, nullptr, 0);
  }
  run.check();
  if (status != 0) throw Error(SE_INTERNAL, "whisper.cpp fails with " + ticked(std::to_string(status)));
  run.progress(1);
}

void AudioManager::transcribe(std::span<const float> samples, const TranscriptionRequest &request, TranscriptRun &run) {
  run.result.audio_seconds = static_cast<double>(samples.size()) / kSamplesPerSecond;
  if (samples.size() < kFewestSamples) return;
  whisper_context *context = context_.get();
  const AbortScope scope(context, run);
  reset_whisper(context);
  whisper_reset_timings(context);
  const auto account = [&] {
    const WhisperTimings timings = whisper_timings_of(context);
    run.result.encode_seconds = timings.encode_seconds;
    run.result.decode_seconds = timings.decode_seconds;
    run.result.total_seconds = run.seconds();
  };
  try {
    run_whisper(samples, request, run);
  } catch (...) {
    account();
    throw;
  }
  account();
}

std::string AudioManager::info_json() const {
  return OrderedJson{{"engine", "whisper"},
                     {"backend", "cpu"},
                     {"family", "whisper"},
                     {"quantization", header_.commonest_type},
                     {"parameters", header_.parameters},
                     {"multilingual", header_.multilingual()},
                     {"languages", header_.languages()},
                     {"sample_rate", kSamplesPerSecond},
                     {"mel_bins", header_.mel_bins},
                     {"vocab_size", header_.vocab_size},
                     {"threads", threads_},
                     {"has_vad", !vad_model_.empty()},
                     {"weights_bytes", whisper_weights_bytes(context_.get())},
                     {"load_seconds", load_seconds_}}
      .dump();
}

}  // namespace se
