// Typed reading of untrusted JSON documents.
#include "base/json.h"

#include <charconv>
#include <utility>
#include <vector>

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

// The shortest digits that give the number again, as repr(float): fixed from 1e-4 to 1e16, otherwise with an exponent.
std::string python_float(double number) {
  char buffer[32];
  const auto [end, ignored] = std::to_chars(buffer, buffer + sizeof(buffer), number, std::chars_format::scientific);
  const std::string text(buffer, end);
  const size_t mark = text.find('e');
  const int exponent = std::stoi(text.substr(mark + 1));
  if (exponent < -4 || exponent >= 16) return text;
  const std::string sign = text.front() == '-' ? "-" : "";
  std::string digits;
  for (const char letter : text.substr(0, mark)) {
    if (letter >= '0' && letter <= '9') digits += letter;
  }
  const auto before = static_cast<size_t>(exponent + 1);
  if (exponent < 0) return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (digits.size() <= before) return sign + digits + std::string(before - digits.size(), '0') + ".0";
  return sign + digits.substr(0, before) + "." + digits.substr(before);
}

}  // namespace

Json parse_json(const std::string &text, const std::string &what, se_status status) {
  if (too_deep(text)) throw Error(status, what + " is nested more than " + std::to_string(kDeepest) + " levels deep");
  try {
    return Json::parse(text);
  } catch (const Json::parse_error &error) {
    throw Error(status, what + " is not valid JSON (byte " + std::to_string(error.byte) + ")");
  } catch (const Json::exception &) {
    throw Error(status, what + " has a number out of range");
  }
}

Json parse_unambiguous_json(const std::string &text, const std::string &what, se_status status) {
  parse_json(text, what, status);
  std::vector<std::set<std::string>> keys;
  return Json::parse(text, [&](int, Json::parse_event_t event, Json &value) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second) {
      throw Error(status, what + " has the key " + ticked(value.get<std::string>()) + " twice");
    }
    return true;
  });
}

std::string canonical_json(const Json &value) {
  std::string text, separator;
  if (value.is_object()) {
    for (const auto &[key, item] : value.items()) {
      text += separator + Json(key).dump() + ":" + canonical_json(item);
      separator = ",";
    }
    return "{" + text + "}";
  }
  if (value.is_array()) {
    for (const Json &item : value) {
      text += separator + canonical_json(item);
      separator = ",";
    }
    return "[" + text + "]";
  }
  return value.is_number_float() ? python_float(value.get<double>()) : value.dump();
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

const Json &JsonObject::map(const std::string &key) {
  const Json &value = take(key);
  if (!value.is_object()) fail("has no object " + ticked(key));
  return value;
}

void JsonObject::skip(const std::string &key) { read_.insert(key); }

void JsonObject::finish() const {
  for (const auto &[key, value] : value_.items()) {
    if (!read_.contains(key)) fail("has an unknown key " + ticked(key));
  }
}

void JsonObject::fail(const std::string &problem) const { throw Error(status_, path_ + " " + problem); }

}  // namespace se
