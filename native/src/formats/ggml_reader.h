// Reads whisper.cpp's file format (Whisper and VAD models) without trusting any length in it.
#pragma once

#include <ggml.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace se {

struct GgmlTensor {
  std::string name;
  ggml_type type;
  uint32_t axes;
  std::array<uint64_t, 3> shape;  // the rest is 1
  uint64_t elements;
  uint64_t bytes;
};

// A cursor over the mapped file that cannot leave it. Everything throws MODEL_CORRUPT.
class GgmlReader {
 public:
  static constexpr uint32_t kMagic = 0x67676d6c;

  // Reads the magic number.
  GgmlReader(std::span<const std::byte> bytes, std::string name);

  [[noreturn]] void fail(const std::string &problem) const;
  const char *take(uint64_t count, const char *what);
  uint32_t word(const char *what);
  uint32_t word(const char *what, uint32_t least, uint32_t most);
  // The header of a tensor; its numbers are skipped.
  GgmlTensor tensor();
  bool at_end() const { return offset_ == bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  std::string name_;
  uint64_t offset_ = 0;
};

}  // namespace se
