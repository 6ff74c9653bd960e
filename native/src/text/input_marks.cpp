// Finds special tokens in text by their lengths: there are thousands of tokens and a few lengths.
#include "text/input_marks.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

namespace se {
namespace {

std::string lower_ascii(std::string_view text) {
  std::string lower(text);
  for (char &c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

size_t first_character_bytes(std::string_view text) {
  size_t count = 1;
  while (count < text.size() && (static_cast<unsigned char>(text[count]) & 0xC0) == 0x80) ++count;
  return count;
}

}  // namespace

InputMarks::InputMarks(const std::vector<std::string> &specials) {
  std::set<size_t> lengths;
  for (const std::string &special : specials) {
    // A mark needs two characters to stand between. No known vocabulary has a shorter one.
    if (special.size() <= first_character_bytes(special)) continue;
    const auto [inserted, ignored] = specials_.insert(lower_ascii(special));
    begins_[static_cast<unsigned char>(inserted->front())] = true;
    lengths.insert(special.size());
  }
  lengths_.assign(lengths.begin(), lengths.end());
}

bool InputMarks::is_special_at(std::string_view lower, size_t at, std::string_view except) const {
  for (const size_t length : lengths_) {
    if (at + length > lower.size()) break;
    const std::string candidate(lower.substr(at, length));
    if (!specials_.contains(candidate)) continue;
    if (except.empty() || candidate.find(except) == std::string::npos) return true;
  }
  return false;
}

std::string InputMarks::mark(std::string_view text, std::string_view except) const {
  std::string clean(text);
  // The caller's own noncharacters cannot be told from marks.
  for (const std::string_view mark : {kMark, kImage}) {
    for (size_t at = 0; (at = clean.find(mark, at)) != std::string::npos;) {
      clean.replace(at, mark.size(), "\xEF\xBF\xBD");
    }
  }
  const std::string lower = lower_ascii(clean);
  std::string marked;
  marked.reserve(clean.size());
  for (size_t at = 0; at < clean.size();) {
    const bool is_special = begins_[static_cast<unsigned char>(lower[at])] && is_special_at(lower, at, except);
    const size_t length = is_special ? first_character_bytes(std::string_view(clean).substr(at)) : 1;
    marked.append(clean, at, length);
    if (is_special) marked += kMark;
    at += length;
  }
  return marked;
}

void InputMarks::mark(OrderedJson &document, std::string_view except) const {
  if (document.is_string()) {
    document = mark(document.get<std::string>(), except);
  } else if (document.is_array()) {
    for (OrderedJson &item : document) mark(item, except);
  } else if (document.is_object()) {
    OrderedJson made = OrderedJson::object();
    for (auto &[key, value] : document.items()) {
      mark(value, except);
      made[mark(key, except)] = std::move(value);
    }
    document = std::move(made);
  }
}

std::string InputMarks::without(std::string text) {
  for (size_t at = 0; (at = text.find(kMark, at)) != std::string::npos;) text.erase(at, kMark.size());
  return text;
}

std::string InputMarks::image(size_t index) {
  return std::string(kImage) + std::to_string(index) + std::string(kImage);
}

std::vector<InputMarks::Piece> InputMarks::pieces(std::string_view marked) {
  std::vector<Piece> pieces;
  while (true) {
    const size_t begin = marked.find(kImage);
    pieces.push_back({marked.substr(0, begin), std::nullopt});
    if (begin == std::string_view::npos) return pieces;
    marked.remove_prefix(begin + kImage.size());
    const size_t length = std::min(marked.find(kImage), marked.size());
    size_t index = SIZE_MAX;
    std::from_chars(marked.data(), marked.data() + length, index);
    pieces.back().image = index;
    marked.remove_prefix(std::min(length + kImage.size(), marked.size()));
  }
}

}  // namespace se
