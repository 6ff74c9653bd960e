// Reads how text is split from a GGUF's metadata, and splits it.
#include "text/pre_tokenizer.h"

#include <array>

#include "base/json.h"
#include "base/status.h"

namespace se {
namespace {

// Written by sphere_edge/formats/tokenizer.py.
constexpr const char *kNormalizationKey = "sphere_edge.normalization";
constexpr const char *kSplitKey = "sphere_edge.split";
constexpr size_t kMostPatterns = 16;

// GPT-2's letters for bytes: printable ones are themselves, the others are code points from U+0100 on.
std::array<std::string, 256> byte_letters() {
  std::array<std::string, 256> letters;
  char32_t other = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool prints = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
    unicode::append_utf8(letters[byte], prints ? byte : other++);
  }
  return letters;
}

}  // namespace

std::optional<PreTokenizer> PreTokenizer::of(const GgufHeader &header) {
  PreTokenizer made;
  const std::string form = header.string(kNormalizationKey), split = header.string(kSplitKey);
  if (form.empty() && split.empty()) return std::nullopt;
  if (!form.empty() && form != "nfc") {
    throw Error(SE_UNSUPPORTED, "the tokenizer normalizes text as " + ticked(form.substr(0, 40)));
  }
  made.composes_ = !form.empty();
  if (split.empty()) return made;
  const Json value = parse_json(split, kSplitKey, SE_MODEL_CORRUPT);
  JsonObject object(value, kSplitKey, SE_MODEL_CORRUPT);
  made.keeps_whole_words_ = object.count("whole_words", 0, 1) == 1;
  const Json &expressions = object.array("expressions");
  if (expressions.empty() || expressions.size() > kMostPatterns) object.fail("has no sound number of expressions");
  for (const Json &expression : expressions) {
    if (!expression.is_string()) object.fail("has an expression that is not a string");
    made.patterns_.emplace_back(expression.get_ref<const std::string &>());
  }
  object.finish();
  return made;
}

std::u32string PreTokenizer::prepared(std::string_view text) const {
  const std::u32string codes = unicode::decoded(text);
  return composes_ ? unicode::composed(codes) : codes;
}

std::string PreTokenizer::composed(std::string_view text) const {
  std::string bytes;
  bytes.reserve(text.size());
  for (const char32_t code : prepared(text)) unicode::append_utf8(bytes, code);
  return bytes;
}

std::vector<std::string> PreTokenizer::words(std::string_view text) const {
  static const std::array<std::string, 256> letters = byte_letters();
  const std::u32string codes = prepared(text);
  std::vector<size_t> ends = codes.empty() ? std::vector<size_t>{} : std::vector<size_t>{codes.size()};
  for (const Pattern &pattern : patterns_) {
    std::vector<size_t> finer;
    size_t begin = 0;
    for (const size_t end : ends) {
      for (const size_t cut : pattern.ends(std::u32string_view(codes).substr(begin, end - begin))) {
        finer.push_back(begin + cut);
      }
      begin = end;
    }
    ends = std::move(finer);
  }
  std::vector<std::string> found;
  found.reserve(ends.size());
  size_t begin = 0;
  for (const size_t end : ends) {
    std::string bytes, spelled;
    for (size_t i = begin; i < end; ++i) unicode::append_utf8(bytes, codes[i]);
    for (const char byte : bytes) spelled += letters[static_cast<unsigned char>(byte)];
    found.push_back(std::move(spelled));
    begin = end;
  }
  return found;
}

}  // namespace se
