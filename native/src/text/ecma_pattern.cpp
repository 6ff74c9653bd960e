// By recursive descent (ECMA-262, 22.2.1); what is not regular, as backreferences, is refused.
#include "text/ecma_pattern.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "base/status.h"
#include "text/unicode.h"

namespace se {
namespace {

using Expression = RegexBuilder::Id;

constexpr size_t kLongestPattern = 2000;
constexpr int kDeepestGroups = 32;
constexpr uint64_t kMostRepetitions = 10'000;

const CharacterRanges kDigits = {{'0', '9'}};
const CharacterRanges kWordCharacters = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
// ECMA-262, 12.2 and 12.3: white space and line ends.
const CharacterRanges kWhiteSpace = {{9, 13},          {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680},
                                     {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                                     {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const CharacterRanges kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

// All characters are looked at: once for each of the few sets of categories that have a name.
CharacterRanges characters_of(unicode::CategorySet categories) {
  static std::mutex mutex;
  static std::map<unicode::CategorySet, CharacterRanges> known;
  const std::lock_guard lock(mutex);
  const auto [found, is_new] = known.try_emplace(categories);
  for (char32_t code = 0; is_new && code <= 0x10FFFF; ++code) {
    if ((unicode::category(code) & categories) != 0) found->second.emplace_back(code, code);
  }
  if (is_new) found->second = normalized(std::move(found->second));
  return found->second;
}

// One side of `|`, and whether it begins with `^` and ends with `$`.
struct Branch {
  Expression expression;
  bool is_at_begin = false, is_at_end = false;
  // What the whole text must match as well: it is looked for from its beginning.
  std::vector<Expression> conditions = {};
};

class EcmaParser {
 public:
  EcmaParser(RegexBuilder &builder, std::u32string text) : builder_(builder), text_(std::move(text)) {}

  Expression parse() {
    std::vector<Expression> found;
    const std::vector<Branch> branches = disjunction(0);
    if (at_ < text_.size()) fail("has a `)` without its `(`");
    for (const Branch &branch : branches) {
      const Expression before = branch.is_at_begin ? builder_.empty() : builder_.any_text();
      const Expression after = branch.is_at_end ? builder_.empty() : builder_.any_text();
      std::vector<Expression> all = branch.conditions;
      all.push_back(builder_.sequence({before, branch.expression, after}));
      found.push_back(builder_.both(std::move(all)));
    }
    return builder_.either(std::move(found));
  }

 private:
  [[noreturn]] static void fail(const std::string &why) { throw PatternProblem{why}; }

  bool is_next(char32_t character) const { return at_ < text_.size() && text_[at_] == character; }
  bool is_word_next(std::u32string_view word) const {
    return std::u32string_view(text_).substr(at_, word.size()) == word;
  }
  bool take(char32_t character) {
    if (!is_next(character)) return false;
    ++at_;
    return true;
  }
  bool take(std::u32string_view word) {
    if (!is_word_next(word)) return false;
    at_ += word.size();
    return true;
  }
  char32_t taken() {
    if (at_ >= text_.size()) fail("ends too early");
    return text_[at_++];
  }

  std::vector<Branch> disjunction(int depth) {
    if (depth > kDeepestGroups) fail("has groups nested more than " + ticked(kDeepestGroups) + " deep");
    std::vector<Branch> branches;
    do {
      const std::vector<Branch> more = alternative(depth);
      branches.insert(branches.end(), more.begin(), more.end());
    } while (take('|'));
    return branches;
  }

  std::vector<Branch> alternative(int depth) {
    Branch branch{builder_.empty()};
    std::vector<Expression> parts;
    while (at_ < text_.size() && !is_next('|') && !is_next(')')) {
      if (branch.is_at_end && !is_next('$')) fail("has `$` before its end");
      if (take('^')) {
        if (!parts.empty()) fail("has `^` behind its beginning");
        branch.is_at_begin = true;
      } else if (take('$')) {
        branch.is_at_end = true;
      } else if (depth == 0 && branch.is_at_begin && parts.empty() && (is_word_next(U"(?=") || is_word_next(U"(?!"))) {
        branch.conditions.push_back(looked_ahead());
      } else if (is_next('(')) {
        std::vector<Branch> group = this->group(depth);
        const bool is_anchored =
            std::any_of(group.begin(), group.end(), [](const Branch &one) { return one.is_at_begin || one.is_at_end; });
        if (is_anchored) {
          // Only where the group is all of this alternative, the branches of which are as good as those here.
          if (!parts.empty() || branch.is_at_begin || (at_ < text_.size() && !is_next('|') && !is_next(')'))) {
            fail("has `^` or `$` inside of a group");
          }
          return group;
        }
        std::vector<Expression> all;
        for (const Branch &one : group) all.push_back(one.expression);
        parts.push_back(quantified(builder_.either(std::move(all))));
      } else {
        parts.push_back(quantified(atom()));
      }
    }
    branch.expression = builder_.sequence(parts);
    return {branch};
  }

  // From the beginning of the text on.
  Expression looked_ahead() {
    const bool is_negated = text_[at_ + 2] == '!';
    at_ += 3;
    std::vector<Expression> all;
    for (const Branch &branch : disjunction(1)) {
      all.push_back(builder_.sequence(branch.expression, branch.is_at_end ? builder_.empty() : builder_.any_text()));
    }
    if (!take(')')) fail("has a `(` without its `)`");
    const Expression either = builder_.either(std::move(all));
    return is_negated ? builder_.except(either) : either;
  }

  std::vector<Branch> group(int depth) {
    take('(');
    if (take('?')) {
      if (take(U"=") || take(U"!") || take(U"<=") || take(U"<!")) fail("looks back, or ahead behind its beginning");
      if (take('<')) {
        while (taken() != '>') {
        }
      } else if (!take(':')) {
        fail("has a group of an unknown kind");
      }
    }
    std::vector<Branch> branches = disjunction(depth + 1);
    if (!take(')')) fail("has a `(` without its `)`");
    return branches;
  }

  std::optional<uint64_t> number() {
    std::optional<uint64_t> value;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      value = std::min<uint64_t>(value.value_or(0) * 10 + (text_[at_++] - '0'), UINT32_MAX);
    }
    return value;
  }

  // {m}, {m,} or {m,n}; otherwise nothing is read, because the bracket stands for itself.
  std::optional<std::pair<uint64_t, uint64_t>> counts() {
    const size_t begin = at_;
    if (!take('{')) return std::nullopt;
    const std::optional<uint64_t> least = number();
    std::optional<uint64_t> most = least;
    if (take(',')) most = is_next('}') ? RegexBuilder::kUnlimited : number();
    if (!least || !most || !take('}')) {
      at_ = begin;
      return std::nullopt;
    }
    if (*least > *most)
      fail("repeats something at least " + ticked(*least) + " and at most " + ticked(*most) + " times");
    if (*least > kMostRepetitions || (*most > kMostRepetitions && *most != RegexBuilder::kUnlimited)) {
      fail("repeats something more than " + ticked(kMostRepetitions) + " times");
    }
    return std::pair(*least, *most);
  }

  Expression quantified(Expression part) {
    std::pair<uint64_t, uint64_t> times(1, 1);
    if (take('*')) {
      times = {0, RegexBuilder::kUnlimited};
    } else if (take('+')) {
      times = {1, RegexBuilder::kUnlimited};
    } else if (take('?')) {
      times = {0, 1};
    } else if (const auto found = counts()) {
      times = *found;
    } else {
      return part;
    }
    // Which match is preferred makes no difference to whether there is one.
    take('?');
    if (is_next('*') || is_next('+') || is_next('?')) fail("has two quantifiers in a row");
    return builder_.repeated(part, times.first, times.second);
  }

  Expression atom() {
    const char32_t first = taken();
    if (first == '*' || first == '+' || first == '?') fail("has nothing to repeat");
    if (first == '.') return builder_.characters(complement(kLineEnds));
    if (first == '[') return builder_.characters(character_class());
    if (first != '\\') return builder_.characters({{first, first}});
    if (is_next('b') || is_next('B')) fail("asks for the border of a word");
    if (at_ < text_.size() && ((text_[at_] >= '1' && text_[at_] <= '9') || text_[at_] == 'k')) {
      fail("refers back to a group");
    }
    return builder_.characters(escaped());
  }

  // What follows a backslash.
  CharacterRanges escaped() {
    const char32_t letter = taken();
    const auto one = [](char32_t character) { return CharacterRanges{{character, character}}; };
    switch (letter) {
      case 'd':
        return kDigits;
      case 'D':
        return complement(kDigits);
      case 'w':
        return kWordCharacters;
      case 'W':
        return complement(kWordCharacters);
      case 's':
        return kWhiteSpace;
      case 'S':
        return complement(kWhiteSpace);
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'v':
        return one('\v');
      case 'f':
        return one('\f');
      case 'r':
        return one('\r');
      case '0':
        if (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') fail("has an octal escape");
        return one(0);
      case 'c': {
        const char32_t control = taken();
        if (!((control >= 'a' && control <= 'z') || (control >= 'A' && control <= 'Z'))) fail("has an unknown `\\c`");
        return one(control % 32);
      }
      case 'x':
        return one(hexadecimal(2));
      case 'u':
        return one(unicode_escape());
      case 'p':
      case 'P':
        return property(letter == 'P');
      default:
        break;
    }
    const bool is_word = letter < 128 && ((letter >= '0' && letter <= '9') || (letter >= 'A' && letter <= 'Z') ||
                                          (letter >= 'a' && letter <= 'z'));
    if (is_word || letter >= 128) fail("has the unknown escape `\\" + utf8(letter) + "`");
    return one(letter);
  }

  static std::string utf8(char32_t character) {
    std::string bytes;
    unicode::append_utf8(bytes, character);
    return bytes;
  }

  char32_t hexadecimal(int digits) {
    char32_t value = 0;
    for (int i = 0; i < digits; ++i) {
      const char32_t digit = taken();
      if (digit >= '0' && digit <= '9') {
        value = value * 16 + (digit - '0');
      } else if ((digit | 32) >= 'a' && (digit | 32) <= 'f') {
        value = value * 16 + ((digit | 32) - 'a' + 10);
      } else {
        fail("has an incomplete escape");
      }
    }
    return value;
  }

  char32_t unicode_escape() {
    if (take('{')) {
      char32_t value = 0;
      do {
        value = value * 16 + hexadecimal(1);
        if (value > 0x10FFFF) fail("has a character beyond U+10FFFF");
      } while (!take('}'));
      return value;
    }
    const char32_t first = hexadecimal(4);
    if (first < 0xD800 || first > 0xDBFF || !take(U"\\u")) return first;
    const char32_t second = hexadecimal(4);
    if (second < 0xDC00 || second > 0xDFFF) fail("has half of a character");
    return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
  }

  CharacterRanges property(bool is_negated) {
    if (!take('{')) fail("has an incomplete `\\p`");
    std::string name;
    for (char32_t letter = taken(); letter != '}'; letter = taken()) name += utf8(letter);
    const auto categories = unicode::categories(name);
    if (!categories) fail("has the unknown property " + ticked(name));
    const CharacterRanges ranges = characters_of(*categories);
    return is_negated ? complement(ranges) : ranges;
  }

  CharacterRanges class_atom() {
    const char32_t first = taken();
    if (first != '\\') return {{first, first}};
    if (take('b')) return {{'\b', '\b'}};
    return escaped();
  }

  CharacterRanges character_class() {
    const bool is_negated = take('^');
    CharacterRanges ranges;
    while (!take(']')) {
      CharacterRanges part = class_atom();
      const bool is_one = part.size() == 1 && part.front().first == part.front().second;
      if (is_one && is_next('-') && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        const CharacterRanges last = class_atom();
        if (last.size() != 1 || last.front().first != last.front().second) fail("has a range without an end");
        if (last.front().first < part.front().first) fail("has a range that ends before it begins");
        part.front().second = last.front().first;
      }
      ranges.insert(ranges.end(), part.begin(), part.end());
    }
    ranges = normalized(std::move(ranges));
    return is_negated ? complement(ranges) : ranges;
  }

  RegexBuilder &builder_;
  std::u32string text_;
  size_t at_ = 0;
};

}  // namespace

RegexBuilder::Id pattern_expression(RegexBuilder &builder, const std::string &pattern) {
  if (pattern.size() > kLongestPattern) {
    throw PatternProblem{"has more than " + ticked(kLongestPattern) + " bytes"};
  }
  return EcmaParser(builder, unicode::decoded(pattern)).parse();
}

}  // namespace se
