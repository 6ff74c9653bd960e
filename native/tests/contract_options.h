// The JSON of the contract's cases as options of the C API; what they point to is kept until the case ends.
#pragma once

#include <sphere_edge.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

using Json = nlohmann::json;

struct Kept {
  std::deque<std::string> texts;
  std::deque<std::vector<const char *>> lists;
  std::deque<std::vector<se_logit_bias>> biases;

  const char *text(const std::string &value) { return texts.emplace_back(value).c_str(); }
};

inline uint32_t milliseconds(const Json &seconds) { return std::max(1U, uint32_t(seconds.get<double>() * 1000)); }

inline void fill(se_text_open_options &options, const Json &given, Kept &kept) {
  for (const auto &[name, value] : given.items()) {
    if (name == "backend") {
      options.backend = kept.text(value);
    } else if (name == "context_tokens") {
      options.context_tokens = value;
    } else if (name == "threads") {
      options.threads = value;
    } else {
      throw std::runtime_error("unknown option " + name);
    }
  }
}

inline void fill(se_text_generate_options &options, const Json &given, Kept &kept) {
  for (const auto &[name, value] : given.items()) {
    if (name == "temperature") {
      options.temperature = value;
    } else if (name == "max_tokens") {
      options.max_tokens = value;
    } else if (name == "seed") {
      options.seed = value;
    } else if (name == "ignore_end_of_text") {
      options.ignore_end_of_text = value;
    } else if (name == "logprobs") {
      options.logprobs = value;
    } else if (name == "top_logprobs") {
      options.top_logprobs = value;
    } else if (name == "timeout_s") {
      options.timeout_ms = milliseconds(value);
    } else if (name == "grammar") {
      options.grammar = kept.text(value);
    } else if (name == "json_schema") {
      options.json_schema = kept.text(value);
    } else if (name == "stop") {
      auto &list = kept.lists.emplace_back();
      for (const auto &one : value) list.push_back(kept.text(one));
      options.stop = list.data();
      options.stop_count = list.size();
    } else if (name == "logit_bias") {
      auto &list = kept.biases.emplace_back();
      for (const auto &[token, bias] : value.items()) {
        list.push_back({std::stoi(token), bias == "-inf" ? -INFINITY : bias.get<float>()});
      }
      options.logit_bias = list.data();
      options.logit_bias_count = list.size();
    } else {
      throw std::runtime_error("unknown field " + name);
    }
  }
}

inline void fill(se_text_embed_options &options, const Json &given, Kept &) {
  for (const auto &[name, value] : given.items()) {
    if (name == "pooling") {
      options.pooling = value == "mean" ? SE_POOLING_MEAN : value == "cls" ? SE_POOLING_CLS : SE_POOLING_LAST;
    } else if (name == "normalize") {
      options.raw = !value.get<bool>();
    } else if (name == "truncate") {
      options.truncate = value;
    } else {
      throw std::runtime_error("unknown field " + name);
    }
  }
}

inline void fill(se_audio_transcribe_options &options, const Json &given, Kept &kept) {
  for (const auto &[name, value] : given.items()) {
    if (name == "language") {
      options.language = kept.text(value);
    } else if (name == "word_timestamps") {
      options.word_timestamps = value;
    } else if (name == "beam_size") {
      options.beam_size = value;
    } else {
      throw std::runtime_error("unknown field " + name);
    }
  }
}

inline void fill(se_image_generate_options &options, const Json &given, Kept &kept) {
  for (const auto &[name, value] : given.items()) {
    if (name == "seed") {
      options.seed = value;
    } else if (name == "steps") {
      options.steps = value;
    } else if (name == "batch") {
      options.batch = value;
    } else if (name == "width") {
      options.width = value;
    } else if (name == "height") {
      options.height = value;
    } else if (name == "sampler") {
      options.sampler = kept.text(value);
    } else {
      throw std::runtime_error("unknown field " + name);
    }
  }
}
