// Writes uncompressed PNG files, without a library for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace runner {

struct PngText {
  std::string key;    // Latin-1, 1 to 79 bytes
  std::string value;  // UTF-8
};

// The file's content: 8 bits per channel, `channels` 1 or 3, rows from the top; `texts` as iTXt chunks.
std::string png(uint32_t width, uint32_t height, uint32_t channels, const uint8_t *pixels,
                const std::vector<PngText> &texts);

}  // namespace runner
