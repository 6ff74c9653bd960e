// Ranges are cut where the number of digits changes, then digit by digit.
#include "text/decimal.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace se {
namespace {

constexpr size_t kMostDigits = 40;
// Of numbers without an upper bound; doubles have no more.
constexpr size_t kUsualDigits = 16;

// In the text of a grammar: alternatives, and whether nothing may be written as well.
struct Digits {
  std::vector<std::string> alternatives;
  bool may_be_empty = false;

  bool is_impossible() const { return alternatives.empty() && !may_be_empty; }
};

std::string one_of(const std::vector<std::string> &alternatives) {
  std::string text;
  for (const std::string &one : alternatives) text += (text.empty() ? "" : " | ") + one;
  return alternatives.size() == 1 ? text : "(" + text + ")";
}

std::string quoted_digits(const std::string &digits) { return "\"" + digits + "\""; }

std::string digit_between(char first, char last) {
  return first == last ? std::string("[") + first + "]" : std::string("[") + first + "-" + last + "]";
}

std::string any_digits(size_t least, size_t most) {
  if (least == most) return least == 1 ? "[0-9]" : "[0-9]{" + std::to_string(least) + "}";
  return "[0-9]{" + std::to_string(least) + "," + std::to_string(most) + "}";
}

std::string joined(const std::string &first, const std::string &second) {
  return second.empty() ? first : first + " " + second;
}

std::string without_first(const std::string &text) { return text.empty() ? text : text.substr(1); }

// All texts of as many digits as both have, from `low` to `high`.
std::string same_length(const std::string &low, const std::string &high) {
  if (low.empty()) return "";
  const size_t rest = low.size() - 1;
  if (low == std::string(low.size(), '0') && high == std::string(high.size(), '9')) {
    return any_digits(low.size(), low.size());
  }
  const char first = low[0], last = high[0];
  if (first == last) return joined(digit_between(first, first), same_length(low.substr(1), high.substr(1)));
  std::vector<std::string> all;
  all.push_back(joined(digit_between(first, first), same_length(low.substr(1), std::string(rest, '9'))));
  if (last - first > 1) {
    all.push_back(joined(digit_between(static_cast<char>(first + 1), static_cast<char>(last - 1)),
                         rest == 0 ? "" : any_digits(rest, rest)));
  }
  all.push_back(joined(digit_between(last, last), same_length(std::string(rest, '0'), high.substr(1))));
  return one_of(all);
}

bool is_less(const std::string &one, const std::string &other) {
  return one.size() != other.size() ? one.size() < other.size() : one < other;
}

std::string one_more(std::string digits) {
  for (size_t i = digits.size(); i-- > 0;) {
    if (digits[i] != '9') {
      ++digits[i];
      return digits;
    }
    digits[i] = '0';
  }
  return "1" + digits;
}

std::string one_less(std::string digits) {
  for (size_t i = digits.size(); i-- > 0;) {
    if (digits[i] != '0') {
      --digits[i];
      break;
    }
    digits[i] = '9';
  }
  return digits.size() > 1 && digits.front() == '0' ? digits.substr(1) : digits;
}

// Natural numbers from `low` to `high`.
std::vector<std::string> whole_numbers(std::string low, const std::optional<std::string> &high) {
  std::vector<std::string> all;
  if (high && is_less(*high, low)) return all;
  if (!high) {
    const size_t length = low.size();
    all.push_back(same_length(low, std::string(length, '9')));
    all.push_back("[1-9] " + any_digits(length, std::max(length, kUsualDigits - 1)));
    return all;
  }
  for (; low.size() < high->size(); low = "1" + std::string(low.size(), '0')) {
    all.push_back(same_length(low, std::string(low.size(), '9')));
  }
  all.push_back(same_length(low, *high));
  return all;
}

struct FractionBound {
  std::string digits;
  bool is_excluded;
};

// Digits behind the point, at most `room`, from 0.LOW to 0.HIGH.
Digits fraction(const FractionBound &low, const std::optional<FractionBound> &high, size_t room) {
  const bool from_zero = low.digits.empty() && !low.is_excluded;
  const bool to_zero = high && high->digits.empty();
  Digits made;
  made.may_be_empty = from_zero && (!to_zero || !high->is_excluded);
  if (room == 0) return made;
  if (from_zero && !high) {
    made.alternatives.push_back(any_digits(1, room));
    return made;
  }
  if (to_zero) {
    if (made.may_be_empty) made.alternatives.push_back("\"0\"{1," + std::to_string(room) + "}");
    return made;
  }
  const char first = low.digits.empty() ? '0' : low.digits[0];
  const char last = high ? high->digits[0] : static_cast<char>('9' + 1);
  const auto add = [&](char digit, const Digits &rest) {
    if (rest.is_impossible()) return;
    std::string text = digit_between(digit, digit);
    if (!rest.alternatives.empty()) text += " (" + one_of(rest.alternatives) + ")" + (rest.may_be_empty ? "?" : "");
    made.alternatives.push_back(text);
  };
  const FractionBound low_rest{without_first(low.digits), low.is_excluded};
  if (first == last) {
    add(first, fraction(low_rest, FractionBound{without_first(high->digits), high->is_excluded}, room - 1));
    return made;
  }
  add(first, fraction(low_rest, std::nullopt, room - 1));
  if (last - first > 1) {
    made.alternatives.push_back(
        joined(digit_between(static_cast<char>(first + 1), static_cast<char>(last - 1)), any_digits(0, room - 1)));
  }
  if (high) {
    add(last, fraction({"", false}, FractionBound{without_first(high->digits), high->is_excluded}, room - 1));
  }
  return made;
}

// Alternatives for the numbers from `low`, which is not negative, to `high`.
std::vector<std::string> positive_numbers(const Bound &low, const std::optional<Bound> &high, size_t room) {
  std::vector<std::string> all;
  const auto add = [&](const std::vector<std::string> &whole, const Digits &behind) {
    if (whole.empty() || behind.is_impossible()) return;
    std::string text = one_of(whole);
    if (!behind.alternatives.empty()) {
      text += " (\".\" " + one_of(behind.alternatives) + ")" + (behind.may_be_empty ? "?" : "");
    }
    all.push_back(text);
  };
  const FractionBound from{low.value.fraction, low.is_excluded};
  if (high && high->value.whole == low.value.whole) {
    add({quoted_digits(low.value.whole)}, fraction(from, FractionBound{high->value.fraction, high->is_excluded}, room));
    return all;
  }
  if (high && is_less(high->value.whole, low.value.whole)) return all;
  add({quoted_digits(low.value.whole)}, fraction(from, std::nullopt, room));
  std::optional<std::string> last;
  if (high) last = one_less(high->value.whole);
  add(whole_numbers(one_more(low.value.whole), last), fraction({"", false}, std::nullopt, room));
  if (high) {
    add({quoted_digits(high->value.whole)},
        fraction({"", false}, FractionBound{high->value.fraction, high->is_excluded}, room));
  }
  return all;
}

bool magnitude_is_less(const Decimal &one, const Decimal &other) {
  return one.whole != other.whole ? is_less(one.whole, other.whole) : one.fraction < other.fraction;
}

Bound opposite(Bound bound) {
  const bool is_zero = bound.value.whole == "0" && bound.value.fraction.empty();
  bound.value.is_negative = !is_zero && !bound.value.is_negative;
  return bound;
}

}  // namespace

std::optional<Decimal> Decimal::of(const OrderedJson &number) {
  if (!number.is_number()) return std::nullopt;
  std::string text = number.dump();
  Decimal made;
  made.is_negative = text.front() == '-';
  if (made.is_negative) text.erase(0, 1);
  long exponent = 0;
  if (const size_t mark = text.find_first_of("eE"); mark != std::string::npos) {
    exponent = std::strtol(text.c_str() + mark + 1, nullptr, 10);
    text.resize(mark);
  }
  const size_t point = std::min(text.find('.'), text.size());
  std::string digits = text.substr(0, point) + (point < text.size() ? text.substr(point + 1) : "");
  if (std::labs(exponent) > static_cast<long>(kMostDigits)) return std::nullopt;
  long whole = static_cast<long>(point) + exponent;
  if (whole < 0) {
    digits.insert(0, static_cast<size_t>(-whole), '0');
    whole = 0;
  }
  if (static_cast<size_t>(whole) > digits.size()) digits.append(static_cast<size_t>(whole) - digits.size(), '0');
  made.whole = digits.substr(0, static_cast<size_t>(whole));
  made.fraction = digits.substr(static_cast<size_t>(whole));
  made.whole.erase(0, std::min(made.whole.find_first_not_of('0'), made.whole.size()));
  if (made.whole.empty()) made.whole = "0";
  made.fraction.resize(made.fraction.find_last_not_of('0') + 1);
  if (made.whole == "0" && made.fraction.empty()) made.is_negative = false;
  if (made.whole.size() + made.fraction.size() > kMostDigits) return std::nullopt;
  return made;
}

bool Decimal::operator<(const Decimal &other) const {
  if (is_negative != other.is_negative) return is_negative;
  return is_negative ? magnitude_is_less(other, *this) : magnitude_is_less(*this, other);
}

std::optional<bool> is_multiple(const Decimal &number, const Decimal &of) {
  // Both as integers of the same unit.
  const size_t behind = std::max(number.fraction.size(), of.fraction.size());
  const std::string dividend = number.whole + number.fraction + std::string(behind - number.fraction.size(), '0');
  const std::string divisor = of.whole + of.fraction + std::string(behind - of.fraction.size(), '0');
  if (divisor.size() > 17 || (divisor.size() == 17 && divisor > std::string(17, '8'))) return std::nullopt;
  const uint64_t unit = std::strtoull(divisor.c_str(), nullptr, 10);
  uint64_t rest = 0;
  for (const char digit : dividend) rest = (rest * 10 + static_cast<uint64_t>(digit - '0')) % unit;
  return rest == 0;
}

bool NumberRange::contains(const Decimal &number) const {
  if (least && (number < least->value || (least->is_excluded && number == least->value))) return false;
  return !most || !(most->value < number || (most->is_excluded && number == most->value));
}

std::optional<std::string> NumberRange::grammar() const {
  const Bound zero{}, above_zero{{}, true};
  if (least && most && most->value < least->value) return std::nullopt;
  std::vector<std::string> all;
  if (!least || least->value.is_negative) {
    // What lies below 0, mirrored.
    std::optional<Bound> high;
    if (least) high = opposite(*least);
    const bool ends_below = most && most->value.is_negative;
    const std::vector<std::string> below =
        positive_numbers(ends_below ? opposite(*most) : above_zero, high, fraction_digits);
    if (!below.empty()) all.push_back("\"-\" " + one_of(below));
  }
  if (!most || !most->value.is_negative) {
    const bool begins_above = least && !least->value.is_negative;
    const std::vector<std::string> above = positive_numbers(begins_above ? *least : zero, most, fraction_digits);
    all.insert(all.end(), above.begin(), above.end());
  }
  if (all.empty()) return std::nullopt;
  return one_of(all);
}

}  // namespace se
