// Parses `--option value`, `--option=value` and plain words; `--` ends the options.
#include "arguments.h"

#include <algorithm>
#include <charconv>

namespace runner {
namespace {

template <typename T>
T parse(const std::string &option, const std::string &text, T least, T most) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    throw UsageError("invalid value `" + text + "` for " + option + "; expected a number from " +
                     std::to_string(least) + " to " + std::to_string(most));
  }
  return value;
}

}  // namespace

Arguments::Arguments(const std::vector<std::string> &words, const std::vector<Option> &options, size_t most_words) {
  bool options_ended = false;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string &word = words[i];
    if (options_ended || word.size() < 2 || word[0] != '-') {
      words_.push_back(word);
      if (words_.size() > most_words) throw UsageError("too many arguments: `" + word + "`");
      continue;
    }
    if (word == "--") {
      options_ended = true;
      continue;
    }
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const auto known = std::find_if(options.begin(), options.end(), [&](const auto &o) { return o.name == name; });
    if (known == options.end()) throw UsageError("unknown option `" + name + "`");
    if (known->value.empty()) {
      if (equals != std::string::npos) throw UsageError(name + " takes no value");
      values_[name].emplace_back();
    } else if (equals != std::string::npos) {
      values_[name].push_back(word.substr(equals + 1));
    } else {
      if (i + 1 == words.size()) throw UsageError(name + " needs a value: " + known->value);
      values_[name].push_back(words[++i]);
    }
  }
}

const std::string &Arguments::word(size_t index, const std::string &what) const {
  if (index >= words_.size()) throw UsageError(what + " is missing");
  return words_[index];
}

std::optional<std::string> Arguments::optional_word(size_t index) const {
  if (index >= words_.size()) return std::nullopt;
  return words_[index];
}

std::optional<std::string> Arguments::text(const std::string &option) const {
  const auto found = values_.find(option);
  if (found == values_.end()) return std::nullopt;
  return found->second.back();
}

std::vector<std::string> Arguments::texts(const std::string &option) const {
  const auto found = values_.find(option);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

int64_t Arguments::number(const std::string &option, int64_t otherwise, int64_t least, int64_t most) const {
  const auto given = text(option);
  return given ? parse<int64_t>(option, *given, least, most) : otherwise;
}

float Arguments::real(const std::string &option, float otherwise) const {
  const auto given = text(option);
  if (!given) return otherwise;
  // from_chars for float is missing in some C++ libraries.
  size_t end = 0;
  try {
    const float value = std::stof(*given, &end);
    if (end == given->size()) return value;
  } catch (const std::exception &) {
    end = 0;
  }
  throw UsageError("invalid value `" + *given + "` for " + option + "; expected a number");
}

std::vector<int32_t> Arguments::numbers(const std::string &option, std::vector<int32_t> otherwise, int32_t least,
                                        int32_t most) const {
  const auto given = text(option);
  if (!given) return otherwise;
  std::vector<int32_t> values;
  for (size_t begin = 0; begin <= given->size();) {
    const size_t end = std::min(given->find(',', begin), given->size());
    values.push_back(parse<int32_t>(option, given->substr(begin, end - begin), least, most));
    begin = end + 1;
  }
  return values;
}

}  // namespace runner
