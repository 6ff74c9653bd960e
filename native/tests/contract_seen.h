// What the callbacks of the C API see, as the contract's outputs need it.
#pragma once

#include <sphere_edge.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

using Json = nlohmann::json;

// A failure of the library, as a step's output.
struct Failed {
  se_status status;
};

inline void check(se_status status) {
  if (status != SE_OK) throw Failed{status};
}

inline std::string taken(char *string) {
  std::string copy = string == nullptr ? "" : string;
  se_string_free(string);
  return copy;
}

// The text as JSON, or null.
inline Json read(const std::string &text) {
  Json value = Json::parse(text, nullptr, false);
  return value.is_discarded() ? Json() : value;
}

// 16-bit mono at 16 kHz after a header of 44 bytes, as the tests write it.
inline std::vector<float> samples_of(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Failed{SE_NOT_FOUND};
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  std::vector<float> samples;
  for (size_t at = 44; at + 1 < bytes.size(); at += 2) {
    const auto low = uint8_t(bytes[at]), high = uint8_t(bytes[at + 1]);
    samples.push_back(float(int16_t(low | high << 8)) / 32768);
  }
  return samples;
}

// What the callbacks of a call have seen.
struct Seen {
  se_text *text = nullptr;
  Json after{}, calls = Json::array(), seeds = Json::array();
  std::string answer{}, pixels{};
  size_t pieces = 0, logprobs = 0, top_logprobs = 0, words = 0, segments = 0, progress = 0, images = 0;
  uint32_t width = 0, height = 0;
};

inline bool on_delta(const se_text_delta *delta, void *data) {
  auto &seen = *static_cast<Seen *>(data);
  const std::string text(delta->text == nullptr ? "" : delta->text, delta->text_bytes);
  seen.logprobs += delta->logprob_count;
  for (size_t i = 0; i < delta->logprob_count; i++) seen.top_logprobs += delta->logprobs[i].top_count;
  if (delta->kind == SE_DELTA_TOOL_CALL_BEGIN) seen.calls.push_back({{"name", delta->tool_name}, {"arguments", ""}});
  if (delta->kind == SE_DELTA_TOOL_CALL_ARGUMENTS) {
    auto &arguments = seen.calls[delta->tool_index]["arguments"].get_ref<std::string &>();
    arguments += text;
  }
  if (delta->kind != SE_DELTA_TEXT || text.empty()) return true;
  seen.answer += text;
  seen.pieces++;
  if (seen.after.is_null() || seen.pieces != seen.after["pieces"]) return true;
  if (seen.after["do"] == "end_reader") return false;
  if (seen.after["do"] != "cancel") throw std::runtime_error("unknown action");
  se_text_cancel(seen.text);
  return true;
}

inline bool on_segment(const se_audio_segment *segment, void *data) {
  auto &seen = *static_cast<Seen *>(data);
  seen.answer += segment->text;
  seen.segments++;
  seen.words += segment->word_count;
  return true;
}

inline bool on_live(const se_audio_segment *segment, bool is_final, void *data) {
  return !is_final || on_segment(segment, data);
}

inline bool on_image(const se_image_bitmap *bitmap, void *data) {
  auto &seen = *static_cast<Seen *>(data);
  seen.images++;
  seen.seeds.push_back(bitmap->seed);
  seen.width = bitmap->width;
  seen.height = bitmap->height;
  for (size_t i = 0; i < size_t(bitmap->width) * bitmap->height * bitmap->channels; i++) {
    // As text: JSON holds no bytes.
    seen.pixels += std::to_string(bitmap->pixels[i]) + ' ';
  }
  return true;
}

inline bool on_progress(const se_image_progress *, void *data) {
  static_cast<Seen *>(data)->progress++;
  return true;
}

inline std::string stripped(const std::string &text) {
  const size_t first = text.find_first_not_of(' ');
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(' ') + 1 - first);
}
