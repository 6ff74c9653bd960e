// Splits a byte stream into whole UTF-8 characters.
#include "base/utf8.h"

#include <algorithm>

namespace se {
namespace {

constexpr const char *kReplacement = "\xEF\xBF\xBD";

struct Utf8Sequence {
  size_t bytes;   // how many bytes of the text belong to it
  bool complete;  // a whole, well-formed character
  bool may_grow;  // well-formed so far, the text ends inside it
};

// The range that the second byte after `lead` must lie in; excludes overlong forms, surrogates and beyond U+10FFFF.
void second_byte_range(unsigned char lead, unsigned char &least, unsigned char &most) {
  least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
}

Utf8Sequence sequence_at(std::string_view text, size_t begin) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[begin + i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, true, false};
  const size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                        : (lead & 0xF0) == 0xE0        ? 3
                        : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                       : 0;
  if (length == 0) return {1, false, false};
  unsigned char least;
  unsigned char most;
  second_byte_range(lead, least, most);
  for (size_t i = 1; i < length; ++i) {
    if (begin + i == text.size()) return {i, false, true};
    if (byte(i) < least || byte(i) > most) return {i, false, false};
    least = 0x80;
    most = 0xBF;
  }
  return {length, true, false};
}

}  // namespace

std::string take_characters(std::string &bytes, bool at_end) {
  std::string text;
  size_t begin = 0;
  while (begin < bytes.size()) {
    const Utf8Sequence sequence = sequence_at(bytes, begin);
    if (sequence.may_grow && !at_end) break;
    if (sequence.complete) {
      text.append(bytes, begin, sequence.bytes);
    } else {
      text += kReplacement;
    }
    begin += sequence.bytes;
  }
  bytes.erase(0, begin);
  return text;
}

bool is_utf8_so_far(std::string_view begun, std::string_view bytes) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (begun.empty() && std::all_of(bytes.begin(), bytes.end(), is_ascii)) return true;
  const std::string all = std::string(begun).append(bytes);
  for (size_t at = 0; at < all.size();) {
    const Utf8Sequence sequence = sequence_at(all, at);
    if (!sequence.complete && !sequence.may_grow) return false;
    at += sequence.bytes;
  }
  return true;
}

std::string to_utf8(std::string_view bytes) {
  std::string rest(bytes);
  return take_characters(rest, true);
}

}  // namespace se
