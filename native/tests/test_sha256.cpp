// Prints the SHA-256 of texts of every length up to 300, added in uneven pieces; a test compares them with Python's.
#include <algorithm>
#include <cstdio>
#include <string>

#include "base/sha256.h"

int main() {
  for (size_t length = 0; length < 300; ++length) {
    std::string text;
    for (size_t i = 0; i < length; ++i) text += static_cast<char>(i * 37 + length);
    const auto bytes = std::as_bytes(std::span(text));
    se::Sha256 hash;
    for (size_t at = 0, count = 0; at < length; at += count) {
      count = std::min(1 + (at * 7) % 90, length - at);
      hash.add(bytes.subspan(at, count));
    }
    std::printf("%s\n", hash.finish().c_str());
  }
  return 0;
}
