// PNG by its specification, https://www.w3.org/TR/png-3/, with deflate's stored blocks.
#include "png.h"

#include <algorithm>
#include <array>

namespace runner {
namespace {

constexpr size_t kLongestBlock = 65535;

std::string big_endian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

uint32_t crc32(const std::string &bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> made{};
    for (uint32_t i = 0; i < made.size(); ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = (value & 1) != 0 ? 0xEDB88320U ^ (value >> 1) : value >> 1;
      made[i] = value;
    }
    return made;
  }();
  uint32_t sum = 0xFFFFFFFFU;
  for (const char byte : bytes) sum = table[(sum ^ static_cast<uint8_t>(byte)) & 0xFF] ^ (sum >> 8);
  return ~sum;
}

std::string chunk(const std::string &type, const std::string &content) {
  const std::string body = type + content;
  return big_endian(static_cast<uint32_t>(content.size())) + body + big_endian(crc32(body));
}

std::string stored(const std::string &bytes) {
  std::string out = {0x78, 0x01};
  for (size_t begin = 0; begin < bytes.size(); begin += kLongestBlock) {
    const size_t count = std::min(kLongestBlock, bytes.size() - begin);
    out += begin + count == bytes.size() ? '\1' : '\0';
    for (const size_t number : {count, count ^ 0xFFFF}) {
      out += static_cast<char>(number);
      out += static_cast<char>(number >> 8);
    }
    out.append(bytes, begin, count);
  }
  uint32_t low = 1;
  uint32_t high = 0;
  for (const char byte : bytes) {
    low = (low + static_cast<uint8_t>(byte)) % 65521;
    high = (high + low) % 65521;
  }
  return out + big_endian(high << 16 | low);
}

}  // namespace

std::string png(uint32_t width, uint32_t height, uint32_t channels, const uint8_t *pixels,
                const std::vector<PngText> &texts) {
  const char colour = channels == 3 ? '\2' : '\0';
  std::string file = "\x89PNG\r\n\x1a\n";
  file += chunk("IHDR", big_endian(width) + big_endian(height) + '\x08' + colour + std::string(3, '\0'));
  for (const PngText &text : texts) file += chunk("iTXt", text.key + std::string(5, '\0') + text.value);
  std::string rows;
  const size_t row = size_t{width} * channels;
  for (uint32_t y = 0; y < height; ++y) {
    rows += '\0';
    rows.append(reinterpret_cast<const char *>(pixels) + y * row, row);
  }
  return file + chunk("IDAT", stored(rows)) + chunk("IEND", "");
}

}  // namespace runner
