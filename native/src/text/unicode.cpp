// Looks characters up in the tables of make_unicode_tables.py.
#include "text/unicode.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "base/utf8.h"
#include "text/unicode_tables.h"

namespace se::unicode {
namespace {

constexpr size_t kCategoryCount = std::size(kCategoryNames) / 2;
constexpr char32_t kLastCode = 0x10FFFF;
// Below these nothing is decomposed, and nothing joins what precedes it.
constexpr char32_t kFirstDecomposed = 0xC0;
constexpr char32_t kFirstJoining = 0x300;
// Korean syllables are composed by arithmetic (The Unicode Standard, section 3.12).
constexpr char32_t kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11A7;
constexpr char32_t kLeadCount = 19, kVowelCount = 21, kTailCount = 28;
constexpr char32_t kSyllableCount = kLeadCount * kVowelCount * kTailCount;

// The value of the run that `code` is in; `shift`: how many bits of an entry are the value.
template <size_t size>
uint32_t value_of(const uint32_t (&runs)[size], char32_t code, unsigned shift) {
  const uint32_t key = (code << shift) | ((1U << shift) - 1);
  return *std::prev(std::upper_bound(std::begin(runs), std::end(runs), key)) & ((1U << shift) - 1);
}

uint32_t combining_class(char32_t code) { return code < kFirstJoining ? 0 : value_of(kCombiningClasses, code, 8); }

using Triple = std::array<uint32_t, 3>;

template <size_t size>
Triple triple(const uint32_t (&table)[size], size_t index) {
  return {table[3 * index], table[3 * index + 1], table[3 * index + 2]};
}

// The first triple that is not before `key` by its first `keys` numbers.
template <size_t size>
size_t find(const uint32_t (&table)[size], const Triple &key, size_t keys) {
  size_t first = 0, last = size / 3;
  while (first < last) {
    const size_t middle = first + (last - first) / 2;
    const Triple found = triple(table, middle);
    const bool before =
        std::lexicographical_compare(found.begin(), found.begin() + keys, key.begin(), key.begin() + keys);
    (before ? first : last) = before ? middle + 1 : middle;
  }
  return first;
}

void decompose(char32_t code, std::u32string &out) {
  if (code < kFirstDecomposed) {
    out += code;
    return;
  }
  if (code - kSyllables < kSyllableCount) {
    const char32_t index = code - kSyllables;
    out += kLeads + index / (kVowelCount * kTailCount);
    out += kVowels + index % (kVowelCount * kTailCount) / kTailCount;
    if (index % kTailCount != 0) out += kTails + index % kTailCount;
    return;
  }
  const size_t index = find(kDecompositions, {code, 0, 0}, 1);
  if (3 * index >= std::size(kDecompositions) || triple(kDecompositions, index)[0] != code) {
    out += code;
    return;
  }
  const Triple parts = triple(kDecompositions, index);
  decompose(parts[1], out);
  if (parts[2] != 0) decompose(parts[2], out);
}

// Sorts the marks after one base by their classes.
void reorder(std::u32string &text) {
  for (size_t begin = 0; begin < text.size(); ++begin) {
    size_t end = begin;
    while (end < text.size() && combining_class(text[end]) != 0) ++end;
    if (end > begin + 1) {
      const auto by_class = [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); };
      std::stable_sort(text.begin() + static_cast<ptrdiff_t>(begin), text.begin() + static_cast<ptrdiff_t>(end),
                       by_class);
    }
    begin = end;
  }
}

char32_t joined(char32_t first, char32_t second) {
  if (first - kLeads < kLeadCount && second - kVowels < kVowelCount) {
    return kSyllables + ((first - kLeads) * kVowelCount + second - kVowels) * kTailCount;
  }
  if (first - kSyllables < kSyllableCount && (first - kSyllables) % kTailCount == 0 && second > kTails &&
      second - kTails < kTailCount) {
    return first + second - kTails;
  }
  const size_t index = find(kCompositions, {first, second, 0}, 2);
  if (3 * index >= std::size(kCompositions)) return 0;
  const Triple found = triple(kCompositions, index);
  return found[0] == first && found[1] == second ? found[2] : 0;
}

}  // namespace

std::optional<CategorySet> categories(std::string_view name) {
  CategorySet found = 0;
  for (size_t i = 0; i < kCategoryCount; ++i) {
    if (std::string_view(kCategoryNames + 2 * i, 2).starts_with(name)) found |= CategorySet{1} << i;
  }
  return name.empty() || found == 0 ? std::nullopt : std::optional(found);
}

CategorySet category(char32_t code) {
  return CategorySet{1} << (code > kLastCode ? kCategoryCount - 1 : value_of(kCategories, code, 5));
}

bool is_space(char32_t code) {
  return (code >= 9 && code <= 13) || code == ' ' || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F ||
         code == 0x3000;
}

std::u32string decoded(std::string_view bytes) {
  const std::string text = to_utf8(bytes);
  std::u32string codes;
  codes.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    char32_t code = length == 1 ? lead : lead & (0x7F >> length);
    for (size_t k = 1; k < length; ++k) code = (code << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3F);
    codes += code;
    i += length;
  }
  return codes;
}

void append_utf8(std::string &bytes, char32_t code) {
  const auto add = [&](char32_t byte) { bytes += static_cast<char>(byte); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xC0 | (code >> 6));
    add(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    add(0xE0 | (code >> 12));
    add(0x80 | ((code >> 6) & 0x3F));
    add(0x80 | (code & 0x3F));
  } else {
    add(0xF0 | (code >> 18));
    add(0x80 | ((code >> 12) & 0x3F));
    add(0x80 | ((code >> 6) & 0x3F));
    add(0x80 | (code & 0x3F));
  }
}

std::u32string composed(std::u32string_view text) {
  if (std::all_of(text.begin(), text.end(), [](char32_t code) { return code < kFirstJoining; })) {
    return std::u32string(text);
  }
  std::u32string parts;
  parts.reserve(text.size());
  for (const char32_t code : text) decompose(code, parts);
  reorder(parts);
  std::u32string made;
  made.reserve(parts.size());
  size_t base = std::u32string::npos;
  uint32_t last = 0;  // the class of the last mark after the base
  for (const char32_t code : parts) {
    const uint32_t own = combining_class(code);
    const bool is_behind_base = base != std::u32string::npos;
    const bool is_blocked = is_behind_base && made.size() > base + 1 && last >= own;
    const char32_t whole = is_behind_base && !is_blocked ? joined(made[base], code) : 0;
    if (whole != 0) {
      made[base] = whole;
      continue;
    }
    if (own == 0) base = made.size();
    last = own;
    made += code;
  }
  return made;
}

}  // namespace se::unicode
