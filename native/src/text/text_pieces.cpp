// Looks for newlines before a word, then for spaces between words, from the end of the piece on.
#include "text/text_pieces.h"

#include <algorithm>

namespace se {
namespace {

constexpr size_t kComparedBytes = 256;
// Places that are tried of each kind: a tokenizer that cuts at none of them cuts nowhere.
constexpr int kTries = 4;

bool is_word(unsigned char byte) {
  // ASCII but blanks; letters of most scripts, but not what begins Unicode's blanks and combining marks.
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xC3 && byte <= 0xCB) || (byte >= 0xCE && byte <= 0xDF) ||
         (byte >= 0xE4 && byte <= 0xF4);
}

bool is_letter(unsigned char byte) { return (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z'; }

bool is_inside_character(unsigned char byte) { return (byte & 0xC0) == 0x80; }

bool is_line_begin(std::string_view text, size_t at) {
  return text[at - 1] == '\n' && is_word(static_cast<unsigned char>(text[at]));
}

bool is_between_words(std::string_view text, size_t at) {
  return text[at] == ' ' && at + 1 < text.size() && is_letter(static_cast<unsigned char>(text[at - 1])) &&
         is_letter(static_cast<unsigned char>(text[at + 1]));
}

bool is_same_there(std::string_view text, size_t at, const SameTokens &same) {
  size_t begin = at - std::min(at, kComparedBytes), end = std::min(text.size(), at + kComparedBytes);
  while (begin < at && is_inside_character(static_cast<unsigned char>(text[begin]))) ++begin;
  while (end > at && end < text.size() && is_inside_character(static_cast<unsigned char>(text[end]))) --end;
  return same(text.substr(begin, at - begin), text.substr(at, end - at));
}

}  // namespace

size_t piece_end(std::string_view text, size_t begin, const SameTokens &same) {
  if (text.size() - begin <= kPieceBytes) return text.size();
  const size_t wanted = begin + kPieceBytes;
  for (const auto is_place : {is_line_begin, is_between_words}) {
    int tries = 0;
    for (size_t at = wanted; at > begin + kPieceBytes / 2 && tries < kTries; --at) {
      if (!is_place(text, at)) continue;
      if (is_same_there(text, at, same)) return at;
      ++tries;
    }
  }
  int tries = 0;
  for (size_t at = wanted + 1; at < text.size() && tries < kTries; ++at) {
    if (!is_line_begin(text, at) && !is_between_words(text, at)) continue;
    if (is_same_there(text, at, same)) return at;
    ++tries;
  }
  return text.size();
}

}  // namespace se
