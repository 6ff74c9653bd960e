// The string functions that llama.cpp's JSON schema converter expects from its common.cpp, which is not linked.
#include <string>
#include <vector>

#include "common.h"

std::string string_join(const std::vector<std::string> &values, const std::string &separator) {
  std::string joined;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) joined += separator;
    joined += values[i];
  }
  return joined;
}

std::vector<std::string> string_split(const std::string &text, const std::string &delimiter) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end; (end = text.find(delimiter, begin)) != std::string::npos; begin = end + delimiter.size()) {
    parts.push_back(text.substr(begin, end - begin));
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::string string_repeat(const std::string &text, size_t count) {
  std::string repeated;
  repeated.reserve(text.size() * count);
  for (size_t i = 0; i < count; ++i) repeated += text;
  return repeated;
}
