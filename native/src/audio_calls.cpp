// The C entry points of audio: check the arguments, call the AudioManager inside guard, copy results out.
#include <memory>

#include "arguments.h"
#include "audio.h"
#include "sphere_edge.h"
#include "status.h"

struct se_audio {
  std::unique_ptr<se::AudioManager> manager;
};

namespace se {
namespace {

AudioManager &manager_of(se_audio *audio) {
  require(audio != nullptr, "the audio handle is NULL");
  return *audio->manager;
}

se_audio_transcribe_options defaults() {
  se_audio_transcribe_options options{};
  options.size = sizeof(options);
  options.temperature_step = 0.2F;
  return options;
}

TranscribeOptions typed(const se_audio_transcribe_options &options) {
  TranscribeOptions out;
  if (options.language != nullptr && std::string(options.language) != "auto") out.language = options.language;
  out.translate = options.translate;
  if (options.prompt != nullptr) out.prompt = options.prompt;
  out.temperature = options.temperature;
  out.temperature_step = options.temperature_step;
  out.beam_size = options.beam_size;
  out.word_timestamps = options.word_timestamps;
  out.timeout_ms = options.timeout_ms;
  return out;
}

}  // namespace
}  // namespace se

using se::guard;

extern "C" {

se_status se_audio_open(const char *path, const se_audio_open_options *options, se_audio **out_audio) {
  return guard([&] {
    se_audio *&out = se::target(out_audio, "out_audio");
    se_audio_open_options all{sizeof(all), 0};
    se::copy_options(options, all);
    auto manager = se::AudioManager::open(se::string_argument(path, "path"), all.threads);
    out = new se_audio{std::move(manager)};
  });
}

void se_audio_close(se_audio *audio) {
  if (audio == nullptr) return;
  audio->manager->wait();
  delete audio;
}

se_status se_audio_info(se_audio *audio, char **out_json) {
  return guard([&] {
    char *&out = se::target(out_json, "out_json");
    out = se::copy_string(se::manager_of(audio).info_json());
  });
}

se_status se_audio_default_options(se_audio_transcribe_options *out_options) {
  return guard([&] { se::target(out_options, "out_options") = se::defaults(); });
}

se_status se_audio_transcribe(se_audio *audio, const float *samples, size_t sample_count,
                              const se_audio_transcribe_options *options, se_audio_segment_fn on_segment,
                              void *user_data, se_audio_result *out_result) {
  se_audio_result result{};
  const se_status status = guard([&] {
    se::AudioManager &manager = se::manager_of(audio);
    se::check_result_size(out_result);
    se::require(samples != nullptr || sample_count == 0, "samples is NULL");
    se_audio_transcribe_options all = se::defaults();
    se::copy_options(options, all);
    manager.transcribe(
        {samples, sample_count}, se::typed(all),
        [&](const se_audio_segment &segment) { return on_segment == nullptr || on_segment(&segment, user_data); },
        [&](float done) { return all.on_progress == nullptr || all.on_progress(done, user_data); }, result);
  });
  if (out_result != nullptr && (status == SE_OK || status == SE_CANCELLED || status == SE_TIMEOUT)) {
    se::copy_result(result, out_result);
  }
  return status;
}

void se_audio_cancel(se_audio *audio) {
  if (audio != nullptr) audio->manager->cancel();
}

}  // extern "C"
