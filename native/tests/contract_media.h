// The contract's calls that give vectors, transcripts and images.
#pragma once

#include <algorithm>

#include "contract_options.h"
#include "contract_seen.h"

template <typename Options>
Options sized() {
  Options options{};
  options.size = sizeof(options);
  return options;
}

inline Json vectors(se_text *text, const std::vector<std::string> &texts, const Json &request) {
  Kept kept;
  char *info = nullptr;
  check(se_text_info(text, &info));
  const size_t size = Json::parse(taken(info))["embedding_size"];
  auto options = sized<se_text_embed_options>();
  fill(options, request, kept);
  std::vector<const char *> words;
  for (const std::string &one : texts) words.push_back(one.c_str());
  std::vector<float> made(size * texts.size());
  auto result = sized<se_text_embed_result>();
  check(se_text_embed(text, words.data(), words.size(), &options, made.data(), made.size(), &result));
  Json lengths = Json::array();
  for (size_t row = 0; row < texts.size(); row++) {
    double sum = 0;
    for (size_t i = 0; i < size; i++) sum += double(made[row * size + i]) * made[row * size + i];
    lengths.push_back(std::round(std::sqrt(sum) * 10000) / 10000);
  }
  return {{"vectors", texts.size()}, {"size", size}, {"lengths", lengths}, {"truncated", result.truncated}};
}

// `block` 0: at once; else as live audio, in blocks of this size.
inline Json transcript(se_audio *audio, const std::vector<float> &samples, const Json &request, size_t block) {
  Kept kept;
  se_audio_transcribe_options options{};
  check(se_audio_default_options(&options, sizeof(options)));
  Seen seen;
  auto result = sized<se_audio_result>();
  if (block == 0) {
    fill(options, request, kept);
    check(se_audio_transcribe(audio, samples.data(), samples.size(), &options, on_segment, &seen, &result));
  } else {
    options.temperature_step = 0;
    fill(options, request, kept);
    se_audio_stream_options live{};
    check(se_audio_stream_default_options(&live, sizeof(live)));
    live.transcribe = &options;
    se_audio_stream *stream = nullptr;
    check(se_audio_stream_open(audio, &live, on_live, &seen, &stream));
    for (size_t at = 0; at < samples.size(); at += block) {
      check(se_audio_stream_push(stream, samples.data() + at, std::min(block, samples.size() - at)));
    }
    check(se_audio_stream_finish(stream));
    se_audio_stream_close(stream);
  }
  return {{"text", stripped(seen.answer)},
          {"language", result.language},
          {"segments", seen.segments},
          {"words", seen.words}};
}

inline Json images(se_image *image, const std::string &prompt, const Json &request) {
  Kept kept;
  se_image_generate_options options{};
  check(se_image_default_options(image, &options, sizeof(options)));
  fill(options, request, kept);
  options.on_progress = on_progress;
  Seen seen;
  check(se_image_generate(image, prompt.c_str(), &options, on_image, &seen, nullptr));
  return {{"images", seen.images}, {"seeds", seen.seeds},   {"progress", seen.progress},
          {"width", seen.width},   {"height", seen.height}, {"pixels", seen.pixels}};
}
