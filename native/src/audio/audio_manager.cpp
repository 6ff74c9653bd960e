// Opens Whisper models and runs whisper.cpp on them.
#include "audio/audio_manager.h"

#include <whisper.h>

#include <algorithm>
#include <cmath>
#include <cstring>
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

constexpr size_t kMostSamples = size_t{4} * 3600 * SE_AUDIO_SAMPLE_RATE;
// whisper.cpp finds nothing in less than a tenth of a second, and reads beyond the end of much less.
constexpr size_t kFewestSamples = SE_AUDIO_SAMPLE_RATE / 10;
constexpr uint32_t kLongestSegment = 10000;

struct Files {
  fs::path model;
  fs::path voice_detector;  // empty: none
};

Files files_of(const fs::path &path) {
  std::error_code error;
  if (!fs::exists(path, error)) throw Error(SE_NOT_FOUND, "no such file or folder: " + ticked(path.string()));
  if (fs::is_directory(path)) {
    if (!fs::exists(path / "bundle.json")) {
      throw Error(SE_NOT_FOUND, "no bundle.json in " + ticked(path.string()));
    }
    const Bundle bundle = read_bundle(path);
    if (bundle.task != "audio") {
      throw Error(SE_FORMAT_MISMATCH, "the bundle is for " + ticked(bundle.task) + ", not for audio",
                  "open it with the manager of that task");
    }
    if (bundle.engine != "whisper") {
      throw Error(SE_UNSUPPORTED, "the engine " + ticked(bundle.engine) + " hears no audio");
    }
    Files files = {bundle.file("model").path, {}};
    for (const BundleFile &file : bundle.files) {
      if (file.role == "voice-detector") files.voice_detector = file.path;
    }
    return files;
  }
  if (has_gguf_magic(path)) {
    throw Error(SE_FORMAT_MISMATCH, ticked(path.string()) + " is a GGUF file, not a model of whisper.cpp",
                "open it with the text manager");
  }
  return {path, {}};
}

std::string language_name(int id) {
  const char *name = whisper_lang_str(id);
  return name == nullptr ? "" : name;
}

void check_samples(std::span<const float> samples) {
  require(!samples.empty(), "there are no samples");
  require(samples.size() <= kMostSamples, "the audio is longer than 4 hours", "transcribe it in parts");
  // A sum is not finite if one of its terms is not, and costs next to nothing.
  double sum = 0;
  for (const float sample : samples) sum += std::fabs(static_cast<double>(sample));
  require(std::isfinite(sum), "the samples hold a number that is not finite");
}

void check_options(const TranscribeOptions &options, const WhisperHeader &header) {
  const auto fits = [](float value) { return value >= 0 && value <= 1; };
  require(fits(options.temperature), "the temperature is not from 0 to 1");
  require(fits(options.temperature_step), "the temperature step is not from 0 to 1");
  // Smaller ones would only make for hundreds of attempts.
  require(options.temperature_step == 0 || options.temperature_step >= 0.05F, "the temperature step is below 0.05");
  require(options.beam_size >= 0 && options.beam_size <= 8,
          "the beam size is not from 0 to 8: " + ticked(std::to_string(options.beam_size)));
  require(to_utf8(options.prompt) == options.prompt, "the prompt is no valid UTF-8");
  if (!options.language.empty()) {
    // Its own table has full names too, and logs an error where there is none.
    const int id = options.language.size() <= 3 ? whisper_lang_id(options.language.c_str()) : -1;
    require(id >= 0, "no such language: " + ticked(to_utf8(options.language)),
            "give a code such as `en` or `de`, or leave it out");
    require(static_cast<uint32_t>(id) < header.languages(), "the model does not know " + ticked(options.language),
            header.multilingual() ? "" : "it is for English only");
  }
  require(!options.translate || header.multilingual(), "a model for English only translates nothing");
  require(options.max_segment_characters <= kLongestSegment,
          "segments cannot be " + ticked(std::to_string(options.max_segment_characters)) + " characters long");
}

}  // namespace

AudioManager::AudioManager(const fs::path &file, int threads)
    : header_(read_whisper(file)), threads_(threads), context_(nullptr, whisper_free) {
  if (header_.tensor_bytes == 0) throw Error(SE_MODEL_CORRUPT, ticked(file.string()) + " holds no weights");
  // whisper.cpp does not look at what its allocations return.
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

void AudioManager::load_voice_detector(const fs::path &file) {
  check_vad(file);
  const EngineErrors errors;
  if (!load_whisper_vad(context_.get(), file.c_str())) {
    throw Error(SE_MODEL_CORRUPT, "whisper.cpp cannot load " + ticked(file.string()) + ": " + to_utf8(errors.first()));
  }
  voice_detector_ = file.string();
}

std::unique_ptr<AudioManager> AudioManager::open(const fs::path &path, int threads, const fs::path &voice_detector) {
  const auto begin = Clock::now();
  adopt_engine_logs();
  whisper_log_set(take_engine_log, nullptr);
  require(threads >= 0 && threads <= 512, "threads is out of range: " + ticked(std::to_string(threads)));
  if (threads == 0) threads = performance_cores();
  Files files = files_of(path);
  if (!voice_detector.empty()) files.voice_detector = voice_detector;
  std::unique_ptr<AudioManager> audio(new AudioManager(files.model, threads));
  if (!files.voice_detector.empty()) audio->load_voice_detector(files.voice_detector);
  audio->load_seconds_ = seconds_since(begin);
  return audio;
}

void AudioManager::listen(std::span<const float> samples, bool with_loudness, TranscriptRun &run) {
  const bool is_done =
      listen_whisper(context_.get(), samples, threads_, with_loudness, [&run] { return run.stopped(); });
  run.check();
  if (!is_done) throw Error(SE_INTERNAL, "the spectrogram of the audio is not complete");
}

std::string AudioManager::choose_language(const TranscribeOptions &options, const TranscriptRun &run,
                                          se_audio_result &result) {
  result.language_probability = 1;
  if (!options.language.empty()) return language_name(whisper_lang_id(options.language.c_str()));
  if (!header_.multilingual()) return "en";
  std::vector<float> probabilities(static_cast<size_t>(whisper_lang_max_id()) + 1);
  const int id = whisper_lang_auto_detect(context_.get(), 0, threads_, probabilities.data());
  run.check();
  if (id < 0) throw Error(SE_INTERNAL, "whisper.cpp finds no language");
  result.language_probability = probabilities[static_cast<size_t>(id)];
  return language_name(id);
}

void AudioManager::check(const TranscribeOptions &options) const {
  check_options(options, header_);
  require(!options.voice_detection || !voice_detector_.empty(), "there is no voice detector",
          "package the model with one, or name one when opening it");
}

void AudioManager::transcribe(std::span<const float> samples, const TranscribeOptions &options,
                              const SegmentReceiver &on_segment, const ProgressReceiver &on_progress,
                              se_audio_result &result) {
  check_samples(samples);
  check(options);
  const Turn::Call call(turn_, options.timeout_ms);
  result.audio_seconds = static_cast<double>(samples.size()) / SE_AUDIO_SAMPLE_RATE;
  if (samples.size() < kFewestSamples) return;
  TranscriptRun run(turn_.interrupt(), on_segment, on_progress, options.word_timestamps, result);
  whisper_context *context = context_.get();
  const ggml_abort_callback stopped = [](void *data) { return static_cast<TranscriptRun *>(data)->stopped(); };
  struct Guard {
    whisper_context *context;
    ~Guard() { set_whisper_abort(context, nullptr, nullptr); }
  } const guard{context};
  set_whisper_abort(context, stopped, &run);
  renew_whisper(context);
  whisper_reset_timings(context);

  const auto account = [&] {
    const WhisperTimings timings = whisper_timings_of(context);
    result.encode_seconds = timings.encode_seconds;
    result.decode_seconds = timings.decode_seconds;
    result.total_seconds = seconds_since(run.begin());
  };
  try {
    const bool with_loudness = options.word_timestamps || options.max_segment_characters > 0;
    const bool finds_language = options.language.empty() && header_.multilingual();
    if (finds_language) listen(samples, with_loudness, run);
    const std::string language = choose_language(options, run, result);
    std::strncpy(result.language, language.c_str(), sizeof(result.language) - 1);
    auto parameters =
        whisper_full_default_params(options.beam_size > 1 ? WHISPER_SAMPLING_BEAM_SEARCH : WHISPER_SAMPLING_GREEDY);
    parameters.print_progress = false;
    parameters.print_timestamps = false;
    parameters.n_threads = threads_;
    parameters.language = language.c_str();
    parameters.translate = options.translate;
    if (!options.prompt.empty()) parameters.initial_prompt = options.prompt.c_str();
    parameters.temperature = options.temperature;
    parameters.temperature_inc = options.temperature_step;
    if (options.beam_size > 1) parameters.beam_search.beam_size = options.beam_size;
    parameters.token_timestamps = with_loudness;
    parameters.max_len = static_cast<int>(options.max_segment_characters);
    parameters.split_on_word = true;
    parameters.vad = options.voice_detection;
    parameters.vad_model_path = voice_detector_.c_str();
    parameters.abort_callback = stopped;
    parameters.abort_callback_user_data = &run;
    parameters.new_segment_callback = [](whisper_context *context, whisper_state *, int count, void *data) {
      static_cast<TranscriptRun *>(data)->segments(context, count);
    };
    parameters.new_segment_callback_user_data = &run;
    parameters.progress_callback = [](whisper_context *, whisper_state *, int percent, void *data) {
      static_cast<TranscriptRun *>(data)->progress(static_cast<float>(percent) / 100);
    };
    parameters.progress_callback_user_data = &run;
    std::vector<float> speech;
    if (options.voice_detection) {
      const bool is_done = detect_voices(context, parameters, samples, speech);
      run.check();
      if (!is_done) throw Error(SE_INTERNAL, "the voice detector fails");
      samples = speech;
    }
    int failed = 0;
    if (samples.size() >= kFewestSamples) {
      parameters.vad = false;
      if (options.voice_detection || !finds_language) listen(samples, with_loudness, run);
      failed = whisper_full(context, parameters, nullptr, 0);
    }
    run.check();
    if (failed != 0) throw Error(SE_INTERNAL, "whisper.cpp fails with " + ticked(std::to_string(failed)));
    run.progress(1);
  } catch (...) {
    account();
    throw;
  }
  account();
}

std::string AudioManager::info_json() {
  const Turn::Call call(turn_, 0);
  return OrderedJson{{"engine", "whisper"},
                     {"backend", "cpu"},
                     {"family", "whisper"},
                     {"quantization", header_.commonest_type},
                     {"parameters", header_.parameters},
                     {"multilingual", header_.multilingual()},
                     {"languages", header_.languages()},
                     {"sample_rate", SE_AUDIO_SAMPLE_RATE},
                     {"mel_bins", header_.mel_bins},
                     {"vocab_size", header_.vocab_size},
                     {"threads", threads_},
                     {"has_voice_detector", !voice_detector_.empty()},
                     {"weights_bytes", whisper_weights_bytes(context_.get())},
                     {"load_seconds", load_seconds_}}
      .dump();
}

}  // namespace se
