// Reads lines `KEY MESSAGE SIGNATURE`, base64 or `-` for nothing, and prints for each the key's id and whether the key
// has signed it, 1 or 0; `small` for a key of small order, `none` for something else than a key. A line `sha512
// MESSAGE` prints its hash.
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>

#include "base/base64.h"
#include "base/ed25519.h"
#include "base/sha512.h"

namespace {

std::string decoded(const std::string &word) {
  return word == "-" ? "" : se::decode_base64(word).value_or("not base64");
}

std::string hexadecimal(const std::string &message) {
  std::string text;
  for (const uint8_t byte : se::sha512(message)) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string answer(const std::string &key, const std::string &message, const std::string &signature) {
  const auto parsed = se::parse_public_key(key);
  if (!parsed) return "none";
  if (se::is_of_small_order(*parsed)) return "small";
  return parsed->id() + (se::has_signed(*parsed, decoded(message), decoded(signature)) ? " 1" : " 0");
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string key, message, signature;
    words >> key >> message >> signature;
    std::puts((key == "sha512" ? hexadecimal(decoded(message)) : answer(key, message, signature)).c_str());
  }
  return 0;
}
