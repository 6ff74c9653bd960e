// Typed reading of untrusted JSON documents.
#include "base/json.h"

#include <utility>

namespace se {
namespace {

constexpr int kDeepest = 64;

bool too_deep(const std::string &text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDeepest) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

}  // namespace

Json parse_json(const std::string &text, const std::string &what, se_status status) {
  if (too_deep(text)) throw Error(status, what + " is nested more than " + std::to_string(kDeepest) + " levels deep");
  try {
    return Json::parse(text);
  } catch (const Json::parse_error &error) {
    throw Error(status, what + " is not valid JSON (byte " + std::to_string(error.byte) + ")");
  }
}

JsonObject::JsonObject(const Json &value, std::string path, se_status status)
    : value_(value), path_(std::move(path)), status_(status) {
  if (!value_.is_object()) fail("is not an object");
}

bool JsonObject::has(const std::string &key) const {
  const auto found = value_.find(key);
  return found != value_.end() && !found->is_null();
}

const Json &JsonObject::take(const std::string &key) {
  const auto found = value_.find(key);
  if (found == value_.end()) fail("has no " + ticked(key));
  read_.insert(key);
  return *found;
}

std::string JsonObject::string(const std::string &key) {
  const Json &value = take(key);
  if (!value.is_string()) fail("has no string " + ticked(key));
  return value.get<std::string>();
}

uint64_t JsonObject::count(const std::string &key, uint64_t least, uint64_t most) {
  const Json &value = take(key);
  if (!value.is_number_unsigned()) fail("has no whole number " + ticked(key));
  const auto number = value.get<uint64_t>();
  if (number < least || number > most) fail("has " + ticked(key) + " out of range: " + ticked(value.dump()));
  return number;
}

double JsonObject::number(const std::string &key, double least, double most) {
  const Json &value = take(key);
  if (!value.is_number()) fail("has no number " + ticked(key));
  const auto number = value.get<double>();
  if (!(number >= least && number <= most)) fail("has " + ticked(key) + " out of range: " + ticked(value.dump()));
  return number;
}

const Json &JsonObject::array(const std::string &key) {
  const Json &value = take(key);
  if (!value.is_array()) fail("has no list " + ticked(key));
  return value;
}

JsonObject JsonObject::object(const std::string &key) { return JsonObject(take(key), path_ + "." + key, status_); }

void JsonObject::skip(const std::string &key) { read_.insert(key); }

void JsonObject::finish() const {
  for (const auto &[key, value] : value_.items()) {
    if (!read_.contains(key)) fail("has an unknown key " + ticked(key));
  }
}

void JsonObject::fail(const std::string &problem) const { throw Error(status_, path_ + " " + problem); }

}  // namespace se
