// Untrusted JSON as typed values: an object whose keys are each read once, and that must not contain other keys.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/status.h"

namespace se {

using Json = nlohmann::json;
// Keeps the order of keys, for JSON that people read.
using OrderedJson = nlohmann::ordered_json;

// Parses `text`, at most 64 levels deep; failures carry `status` and name `what`.
Json parse_json(const std::string &text, const std::string &what, se_status status);
// The same for documents of which nobody may read another meaning: no key twice in an object.
Json parse_unambiguous_json(const std::string &text, const std::string &what, se_status status);

// As Python's json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False) writes it, to hash it.
std::string canonical_json(const Json &value);

// One object of an untrusted document. Missing keys, wrong types and unread keys throw `status` with the key's path.
class JsonObject {
 public:
  JsonObject(const Json &value, std::string path, se_status status);

  // There, and not null.
  bool has(const std::string &key) const;
  // There, even if null.
  bool names(const std::string &key) const { return value_.contains(key); }
  std::string string(const std::string &key);
  // An unsigned integer in least..most.
  uint64_t count(const std::string &key, uint64_t least = 0, uint64_t most = UINT64_MAX);
  double number(const std::string &key, double least, double most);
  const Json &array(const std::string &key);
  JsonObject object(const std::string &key);
  // An object whose keys are names.
  const Json &map(const std::string &key);
  // Reads `key` without interpreting it.
  void skip(const std::string &key);
  // Throws if a key was not read: a document that is only partly understood is refused.
  void finish() const;

  const std::string &path() const { return path_; }
  [[noreturn]] void fail(const std::string &problem) const;

 private:
  const Json &take(const std::string &key);

  const Json &value_;
  std::string path_;
  se_status status_;
  std::set<std::string> read_;
};

}  // namespace se
