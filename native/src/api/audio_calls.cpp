// The C functions of AudioManager: check the arguments, call the manager inside guard, copy results out.
#include <cstring>

#include "api/arguments.h"
#include "api/handle.h"
#include "api/info.h"
#include "audio/audio_manager.h"
#include "audio/audio_stream.h"
#include "audio/transcript_run.h"
#include "base/status.h"
#include "formats/trusted_keys.h"
#include "sphere_edge.h"

struct se_audio : se::Handle<se::AudioManager> {
  using Handle::Handle;
};

struct se_audio_stream {
  se::AudioStream stream;
};

namespace se {

bool audio_is_built_in() { return true; }

// Found by guard_with_result through its argument, which an unnamed namespace would hide.
se_audio_result exported(const TranscriptionResult &result) {
  se_audio_result out{};
  std::strncpy(out.language, result.language.c_str(), sizeof(out.language) - 1);
  out.language_probability = result.language_probability;
  out.segments = result.segments;
  out.audio_seconds = result.audio_seconds;
  out.first_segment_seconds = result.first_segment_seconds;
  out.total_seconds = result.total_seconds;
  out.encode_seconds = result.encode_seconds;
  out.decode_seconds = result.decode_seconds;
  return out;
}

namespace {

static_assert(kSamplesPerSecond == SE_AUDIO_SAMPLE_RATE);

se_audio_transcribe_options transcribe_defaults() {
  const TranscriptionRequest request;
  se_audio_transcribe_options options{};
  options.size = sizeof(options);
  options.temperature = request.temperature;
  options.temperature_step = request.temperature_step;
  return options;
}

TranscriptionRequest request_of(const se_audio_transcribe_options &options) {
  TranscriptionRequest request;
  request.language = text_or_empty(options.language);
  if (request.language == "auto") request.language.clear();
  request.translate = options.translate;
  request.prompt = text_or_empty(options.prompt);
  request.temperature = options.temperature;
  request.temperature_step = options.temperature_step;
  request.beam_size = options.beam_size;
  request.word_timestamps = options.word_timestamps;
  request.max_segment_characters = options.max_segment_characters;
  request.vad = options.vad;
  request.condition_on_previous_text = !options.ignore_previous_text;
  return request;
}

// Calls `pass_on` with the C struct of a segment, which lives as long as that.
template <typename PassOn>
bool with_exported(const Segment &segment, PassOn &&pass_on) {
  std::vector<se_audio_word> words;
  for (const Word &word : segment.words) {
    words.push_back({word.start_ms, word.end_ms, word.text.c_str(), word.probability, {}});
  }
  std::vector<se_audio_token> tokens;
  for (const Token &token : segment.tokens) tokens.push_back({token.id, token.probability, token.text.c_str()});
  const se_audio_segment out = {sizeof(se_audio_segment),
                                segment.start_ms,
                                segment.end_ms,
                                segment.text.c_str(),
                                segment.language.c_str(),
                                segment.probability,
                                segment.no_speech_probability,
                                words.empty() ? nullptr : words.data(),
                                words.size(),
                                tokens.data(),
                                tokens.size()};
  return pass_on(out);
}

se_audio_stream_options stream_defaults() { return {sizeof(se_audio_stream_options), nullptr, 1000, 800, 15000, {}}; }

// How a stream transcribes: one call on the handle for each step, with its own timeout.
AudioStream::Transcribe transcribe_on(se_audio &audio, uint32_t timeout_ms) {
  return [&audio, timeout_ms](std::span<const float> samples, const TranscriptionRequest &request,
                              const SegmentCallback &on_segment) {
    const TranscriptCallbacks callbacks{on_segment, [](float) { return true; }};
    TranscriptionResult result;
    audio.call(timeout_ms, [&](AudioManager &manager, const Interrupt &interrupt) {
      TranscriptRun run(interrupt, callbacks, request.word_timestamps, result);
      manager.transcribe(samples, request, run);
    });
  };
}

}  // namespace
}  // namespace se

using se::checked;
using se::guard;

extern "C" {

se_status se_audio_open(const char *path, const se_audio_open_options *options, se_audio **out_audio) {
  return se::open_handle(out_audio, [&] {
    se_audio_open_options all{};
    se::copy_options(options, all);
    const std::string model = se::string_argument(path, "path");
    if (all.trusted_keys != nullptr) se::require_trusted(model, all.trusted_keys);
    return se::AudioManager::open(model, all.threads, se::text_or_empty(all.vad_model));
  });
}

void se_audio_close(se_audio *audio) { se::close_handle(audio); }

se_status se_audio_info(se_audio *audio, char **out_json) { return se::handle_info(audio, out_json); }

se_status se_audio_default_options(se_audio_transcribe_options *out_options, size_t size) {
  return se::guard_defaults(out_options, size, se::transcribe_defaults);
}

se_status se_audio_transcribe(se_audio *audio, const float *samples, size_t sample_count,
                              const se_audio_transcribe_options *options, se_audio_segment_fn on_segment,
                              void *user_data, se_audio_result *out_result) {
  return se::guard_with_result<se::TranscriptionResult>(out_result, [&](se::TranscriptionResult &result) {
    se_audio &handle = checked(audio);
    const auto all_samples = se::span_argument(samples, sample_count, "samples");
    se_audio_transcribe_options all = se::transcribe_defaults();
    se::copy_options(options, all);
    const se::TranscriptionRequest request = se::request_of(all);
    // Before the call begins, which may have to wait for another one.
    se::AudioManager::check_samples(all_samples);
    handle.manager().check(request);
    const auto pass_on = [&](const se_audio_segment &segment) { return on_segment(&segment, user_data); };
    const se::TranscriptCallbacks callbacks{
        [&](const se::Segment &segment) { return on_segment == nullptr || se::with_exported(segment, pass_on); },
        [&](float done) { return all.on_progress == nullptr || all.on_progress(done, user_data); }};
    handle.call(all.timeout_ms, [&](se::AudioManager &manager, const se::Interrupt &interrupt) {
      se::TranscriptRun run(interrupt, callbacks, request.word_timestamps, result);
      manager.transcribe(all_samples, request, run);
    });
  });
}

void se_audio_cancel(se_audio *audio) { se::cancel_handle(audio); }

se_status se_audio_stream_default_options(se_audio_stream_options *out_options, size_t size) {
  return se::guard_defaults(out_options, size, se::stream_defaults);
}

se_status se_audio_stream_open(se_audio *audio, const se_audio_stream_options *options, se_audio_stream_fn on_segment,
                               void *user_data, se_audio_stream **out_stream) {
  return guard([&] {
    se_audio_stream *&out = se::target(out_stream, "out_stream");
    se_audio &handle = checked(audio);
    se::require(on_segment != nullptr, "on_segment is NULL");
    se_audio_stream_options all = se::stream_defaults();
    se::copy_options(options, all);
    se_audio_transcribe_options transcribe = se::transcribe_defaults();
    transcribe.temperature_step = 0;
    se::copy_options(all.transcribe, transcribe);
    const se::TranscriptionRequest request = se::request_of(transcribe);
    handle.manager().check(request);
    const auto callback = [on_segment, user_data](const se::Segment &segment, bool is_final) {
      return se::with_exported(
          segment, [&](const se_audio_segment &exported) { return on_segment(&exported, is_final, user_data); });
    };
    out = new se_audio_stream{se::AudioStream({all.step_ms, all.silence_ms, all.longest_ms, request},
                                              se::transcribe_on(handle, transcribe.timeout_ms), callback)};
  });
}

se_status se_audio_stream_push(se_audio_stream *stream, const float *samples, size_t sample_count) {
  return guard([&] {
    const auto all_samples = se::span_argument(samples, sample_count, "samples");
    se::target(stream, "the stream").stream.push(all_samples);
  });
}

se_status se_audio_stream_finish(se_audio_stream *stream) {
  return guard([&] { se::target(stream, "the stream").stream.finish(); });
}

void se_audio_stream_close(se_audio_stream *stream) { delete stream; }

}  // extern "C"
