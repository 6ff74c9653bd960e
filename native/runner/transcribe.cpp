// The command transcribe: lines as they come, or one JSON document with segments and timings.
#include <algorithm>
#include <iostream>

#include "base/cpu.h"
#include "commands.h"
#include "wav.h"

namespace runner {
namespace {

// An open model that closes itself and is cancelled by Ctrl-C.
class Audio {
 public:
  Audio(const std::string &path, const se_audio_open_options &options) {
    check(se_audio_open(path.c_str(), &options, &audio_));
    set_signal_action([audio = audio_] { se_audio_cancel(audio); });
  }
  ~Audio() {
    set_signal_action(nullptr);
    se_audio_close(audio_);
  }
  Audio(const Audio &) = delete;
  Audio &operator=(const Audio &) = delete;

  se_audio *handle() const { return audio_; }

  Json info() const {
    char *text = nullptr;
    check(se_audio_info(audio_, &text));
    return take_json(text);
  }

 private:
  se_audio *audio_ = nullptr;
};

// Collects the segments for JSON, or prints their lines.
struct Transcript {
  bool as_json;
  Json segments = Json::array();
  std::string text = {};
};

Json token_json(const se_audio_token &token) {
  return {{"id", token.id}, {"text", token.text}, {"probability", token.probability}};
}

bool take(const se_audio_segment *segment, void *user_data) {
  auto &transcript = *static_cast<Transcript *>(user_data);
  if (!transcript.as_json) {
    std::cout << segment->text << "\n" << std::flush;
    return static_cast<bool>(std::cout);
  }
  Json json = {{"start_ms", segment->start_ms},
               {"end_ms", segment->end_ms},
               {"text", segment->text},
               {"probability", segment->probability},
               {"no_speech_probability", segment->no_speech_probability}};
  for (size_t i = 0; i < segment->word_count; ++i) {
    const se_audio_word &word = segment->words[i];
    json["words"].push_back(
        {{"start_ms", word.start_ms}, {"end_ms", word.end_ms}, {"text", word.text}, {"probability", word.probability}});
  }
  for (size_t i = 0; i < segment->token_count; ++i) json["tokens"].push_back(token_json(segment->tokens[i]));
  transcript.text += segment->text;
  transcript.segments.push_back(std::move(json));
  return true;
}

}  // namespace

void run_transcribe(const Arguments &arguments) {
  const std::string model = arguments.word(0, "MODEL");
  const std::string &file = arguments.word(1, "FILE.wav");
  const std::vector<float> samples = read_wav(read_input(file), file);
  const std::string vad_model = arguments.text("--vad-model").value_or("");
  const std::optional<std::string> trusted = trusted_keys(arguments);
  se_audio_open_options opening = {};
  opening.size = sizeof(opening);
  opening.vad_model = vad_model.empty() ? nullptr : vad_model.c_str();
  opening.threads = static_cast<int32_t>(arguments.number("--threads", 0, 1, 512));
  opening.trusted_keys = trusted ? trusted->c_str() : nullptr;
  const Audio audio(model, opening);
  const Json info = audio.info();
  const uint64_t loaded_bytes = se::peak_resident_bytes();
  se_audio_transcribe_options options = {};
  check(se_audio_default_options(&options, sizeof(options)));
  const std::string language = arguments.text("--language").value_or("auto");
  const std::string prompt = arguments.text("--prompt").value_or("");
  options.language = language.c_str();
  options.prompt = prompt.c_str();
  options.translate = arguments.has("--translate");
  options.temperature = arguments.real("--temperature", options.temperature);
  if (arguments.has("--no-fallback")) options.temperature_step = 0;
  options.beam_size = static_cast<int32_t>(arguments.number("--beam-size", 0, 0, 8));
  options.word_timestamps = arguments.has("--words");
  options.timeout_ms = static_cast<uint32_t>(arguments.number("--timeout-ms", 0, 0, UINT32_MAX));
  options.max_segment_characters = static_cast<uint32_t>(arguments.number("--max-length", 0, 0, 10000));
  options.vad = arguments.has("--vad") || !vad_model.empty();
  options.ignore_previous_text = arguments.has("--no-previous-text");
  const auto repeat = arguments.number("--repeat", 1, 1, 10000);
  Transcript transcript{arguments.has("--json")};
  se_audio_result result = {};
  result.size = sizeof(result);
  Json runs = Json::array();
  for (int64_t i = 0; i < repeat; ++i) {
    transcript.segments = Json::array();
    transcript.text.clear();
    check(se_audio_transcribe(audio.handle(), samples.data(), samples.size(), &options, take, &transcript, &result));
    runs.push_back({{"first_segment_seconds", result.first_segment_seconds},
                    {"total_seconds", result.total_seconds},
                    {"encode_seconds", result.encode_seconds},
                    {"decode_seconds", result.decode_seconds}});
  }
  if (!transcript.as_json) return;
  print_json({{"text", transcript.text},
              {"language", result.language},
              {"language_probability", result.language_probability},
              {"segments", transcript.segments},
              {"audio_seconds", result.audio_seconds},
              {"first_segment_seconds", result.first_segment_seconds},
              {"total_seconds", result.total_seconds},
              {"encode_seconds", result.encode_seconds},
              {"decode_seconds", result.decode_seconds},
              {"runs", runs},
              {"model", info},
              {"version", se_version()},
              {"loaded_rss_bytes", loaded_bytes},
              {"peak_rss_bytes", se::peak_resident_bytes()}});
}

}  // namespace runner
