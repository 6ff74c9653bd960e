// The C entry points of audio: check the arguments, call the AudioManager inside guard, copy results out.
#include <memory>

#include "api/arguments.h"
#include "api/info.h"
#include "audio/audio_manager.h"
#include "audio/audio_stream.h"
#include "base/status.h"
#include "sphere_edge.h"

struct se_audio {
  std::unique_ptr<se::AudioManager> manager;
};

struct se_audio_stream {
  se::AudioStream stream;
};

namespace se {

bool audio_is_built_in() { return true; }

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
  out.max_segment_characters = options.max_segment_characters;
  out.voice_detection = options.voice_detection;
  return out;
}

se_audio_stream_options stream_defaults() { return {sizeof(se_audio_stream_options), 1000, 800, 15000, nullptr}; }

StreamOptions typed(const se_audio_stream_options &options) {
  se_audio_transcribe_options transcribe = defaults();
  transcribe.temperature_step = 0;
  copy_options(options.transcribe, transcribe);
  return {options.step_ms, options.silence_ms, options.longest_ms, typed(transcribe)};
}

}  // namespace
}  // namespace se

using se::guard;

extern "C" {

se_status se_audio_open(const char *path, const se_audio_open_options *options, se_audio **out_audio) {
  return guard([&] {
    se_audio *&out = se::target(out_audio, "out_audio");
    se_audio_open_options all{sizeof(all), 0, nullptr};
    se::copy_options(options, all);
    const char *detector = all.voice_detector == nullptr ? "" : all.voice_detector;
    auto manager = se::AudioManager::open(se::string_argument(path, "path"), all.threads, detector);
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
  return se::guard_with_result(out_result, [&](se_audio_result &result) {
    se::AudioManager &manager = se::manager_of(audio);
    se::require(samples != nullptr || sample_count == 0, "samples is NULL");
    se_audio_transcribe_options all = se::defaults();
    se::copy_options(options, all);
    manager.transcribe(
        {samples, sample_count}, se::typed(all),
        [&](const se_audio_segment &segment) { return on_segment == nullptr || on_segment(&segment, user_data); },
        [&](float done) { return all.on_progress == nullptr || all.on_progress(done, user_data); }, result);
  });
}

void se_audio_cancel(se_audio *audio) {
  if (audio != nullptr) audio->manager->cancel();
}

se_status se_audio_stream_default_options(se_audio_stream_options *out_options) {
  return guard([&] { se::target(out_options, "out_options") = se::stream_defaults(); });
}

se_status se_audio_stream_open(se_audio *audio, const se_audio_stream_options *options, se_audio_stream_fn on_segment,
                               void *user_data, se_audio_stream **out_stream) {
  return guard([&] {
    se_audio_stream *&out = se::target(out_stream, "out_stream");
    se::AudioManager &manager = se::manager_of(audio);
    se::require(on_segment != nullptr, "on_segment is NULL");
    se_audio_stream_options all = se::stream_defaults();
    se::copy_options(options, all);
    out = new se_audio_stream{se::AudioStream(manager, se::typed(all),
                                              [on_segment, user_data](const se_audio_segment &segment, bool is_final) {
                                                return on_segment(&segment, is_final, user_data);
                                              })};
  });
}

se_status se_audio_stream_push(se_audio_stream *stream, const float *samples, size_t sample_count) {
  return guard([&] {
    se::require(samples != nullptr || sample_count == 0, "samples is NULL");
    se::target(stream, "the stream").stream.push({samples, sample_count});
  });
}

se_status se_audio_stream_finish(se_audio_stream *stream) {
  return guard([&] { se::target(stream, "the stream").stream.finish(); });
}

void se_audio_stream_close(se_audio_stream *stream) { delete stream; }

}  // extern "C"
