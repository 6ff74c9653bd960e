// Reads images as PPM files; other formats need a decoder library.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace runner {

struct Ppm {
  uint32_t width;
  uint32_t height;
  std::vector<uint8_t> pixels;  // rows from the top, 3 bytes per pixel in the order RGB
};

// `content`: a binary PPM (P6) with 8 bits per channel. Failure if it is not one; `name` is for the message.
Ppm read_ppm(const std::string &content, const std::string &name);

}  // namespace runner
