// Leaves out characters by their four bytes.
#include "image/prompt_text.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace se {
namespace {

struct CodePoints {
  uint32_t first, last;
};

// The letters from U+20000 on, as is_letter() of its tokenize_util.cpp has them.
constexpr std::array<CodePoints, 8> kLetters = {{{0x20000, 0x2A6DF},
                                                 {0x2A700, 0x2B81D},
                                                 {0x2B820, 0x2CEAD},
                                                 {0x2CEB0, 0x2EBE0},
                                                 {0x2EBF0, 0x2EE5D},
                                                 {0x2F800, 0x2FA1D},
                                                 {0x30000, 0x3134A},
                                                 {0x31350, 0x33479}}};
constexpr uint32_t kFirst = 0x20000;

bool is_readable(uint32_t code_point) {
  return code_point < kFirst ||
         std::any_of(
             kLetters.begin(), kLetters.end(),
             [&](const CodePoints &one) { return code_point >= one.first && code_point <= one.last; });
}

}  // namespace

std::string readable_prompt(const std::string &prompt) {
  std::string out;
  for (size_t i = 0; i < prompt.size();) {
    const auto bits = [&](size_t at) { return static_cast<uint32_t>(static_cast<unsigned char>(prompt[at]) & 0x3F); };
    const bool has_four = static_cast<unsigned char>(prompt[i]) >= 0xF0 && i + 4 <= prompt.size();
    const uint32_t high = has_four ? static_cast<uint32_t>(static_cast<unsigned char>(prompt[i]) & 0x07) << 18 : 0;
    const bool stays = !has_four || is_readable(high | bits(i + 1) << 12 | bits(i + 2) << 6 | bits(i + 3));
    if (stays) out.append(prompt, i, has_four ? 4 : 1);
    i += has_four ? 4 : 1;
  }
  return out;
}

}  // namespace se
