// SHA-256, for files that must be exactly what they were when they were written.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace se {

// Of content that comes in pieces. FIPS 180-4.
class Sha256 {
 public:
  void add(std::span<const std::byte> piece);
  // In lower-case hexadecimal; nothing can be added after it.
  std::string finish();

 private:
  void mix(const std::byte *blocks, size_t count);

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> block_{};  // what does not fill a block yet
  uint64_t bytes_ = 0;
};

std::string sha256(std::span<const std::byte> content);
std::string sha256(const std::string &content);

}  // namespace se
