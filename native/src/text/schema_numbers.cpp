// Bounds become ranges; multiples are listed where they are few, and otherwise counted digit by digit.
#include "text/schema_numbers.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace se::schema {
namespace {

constexpr int64_t kMostMultiples = 2000;
constexpr uint64_t kMostDivisor = 100;
// Decimals of so many digits are different doubles.
constexpr size_t kExactDigits = 15;

std::optional<int64_t> small_integer(const Decimal &number) {
  if (!number.is_integer() || number.whole.size() > 15) return std::nullopt;
  const int64_t value = std::stoll(number.whole);
  return number.is_negative ? -value : value;
}

Decimal decimal_of(int64_t number) { return *Decimal::of(OrderedJson(number)); }

void add_any(const Case &one, std::vector<Alternative> &alternatives) {
  Numbers any;
  any.is_integer = (one.types & kFraction) == 0;
  alternatives.emplace_back(any);
}

// Not so many that a number beside an excluded bound is rounded to the bound.
size_t digits_behind(Cases &cases, const NumberRange &range, size_t most, const Case &one) {
  size_t whole = 1, behind = 0;
  for (const auto &bound : {range.least, range.most}) {
    if (!bound) continue;
    whole = std::max(whole, bound->value.whole.size());
    behind = std::max(behind, bound->value.fraction.size());
    if (bound->is_excluded && bound->value.digits() > kExactDigits) {
      cases.drop(one.path, "excludes a number of more than " + ticked(kExactDigits) + " digits");
    }
  }
  const size_t exact = whole < kExactDigits ? kExactDigits - whole : 1;
  return std::min(most, std::max(exact, behind));
}

void cut_out(const Decimal &number, std::vector<NumberRange> &ranges) {
  std::vector<NumberRange> cut;
  for (const NumberRange &range : ranges) {
    if (!range.contains(number)) {
      cut.push_back(range);
      continue;
    }
    cut.push_back({range.least, Bound{number, true}, range.fraction_digits});
    cut.push_back({Bound{number, true}, range.most, range.fraction_digits});
  }
  ranges = std::move(cut);
}

void add_multiples(Cases &cases, const Case &one, const NumberRange &range, Numbers made,
                   std::vector<Alternative> &alternatives) {
  const std::string &path = one.divisors.front().second;
  const auto step = static_cast<int64_t>(made.divisor);
  const auto bound = [](const std::optional<Bound> &end) -> std::optional<int64_t> {
    if (!end || end->value.whole.size() > 15) return std::nullopt;
    const int64_t value = std::stoll(end->value.whole);
    return end->value.is_negative ? -value : value;
  };
  const auto least = bound(range.least), most = bound(range.most);
  if (least && most && (*most - *least) / step < kMostMultiples) {
    Constants constants;
    for (int64_t value = *least / step * step - step; value <= *most + step; value += step) {
      if (cases.allows(value, one)) constants.values.emplace_back(value);
    }
    if (!constants.values.empty()) alternatives.emplace_back(std::move(constants));
    return;
  }
  const bool has_excluded =
      std::any_of(one.excluded.begin(), one.excluded.end(), [](const auto &value) { return value.first.is_number(); });
  const Decimal positive = decimal_of(step), negative = decimal_of(-step);
  made.has_negative = range.contains(negative);
  made.has_zero = range.contains(Decimal());
  made.has_positive = range.contains(positive);
  const bool is_signs_only = (!range.least || !made.has_negative) && (!range.most || !made.has_positive) &&
                             (range.least || made.has_negative) && (range.most || made.has_positive);
  if (made.divisor > kMostDivisor || has_excluded || !is_signs_only) {
    cases.drop(path, "has too many multiples between these bounds");
    made.divisor = 0;
    made.ranges = {range};
    if (!range.grammar()) return;
  } else if (!made.has_negative && !made.has_zero && !made.has_positive) {
    return;
  }
  alternatives.emplace_back(std::move(made));
}

}  // namespace

void add_numbers(Cases &cases, const Case &one, std::vector<Alternative> &alternatives) {
  Numbers made;
  made.is_integer = (one.types & kFraction) == 0;
  if ((one.types & kInteger) == 0) cases.drop(one.path, "allows only numbers that are not integers");
  size_t fraction_digits = kExactDigits;
  uint64_t divisor = 1;
  for (const auto &[number, path] : one.divisors) {
    if (number.is_integer() && !made.is_integer) made.is_integer = true;
  }
  for (const auto &[number, path] : one.divisors) {
    const auto integer = small_integer(number);
    const bool is_power = number.whole == "0" && !number.is_integer() &&
                          number.fraction.find_first_not_of('0') == number.fraction.size() - 1 &&
                          number.fraction.back() == '1';
    if (made.is_integer && is_multiple(decimal_of(1), number).value_or(false)) continue;
    if (integer && *integer <= 1'000'000'000) {
      divisor = std::lcm(divisor, static_cast<uint64_t>(*integer));
      if (divisor > 1'000'000'000) return cases.drop(path, "has too large multiples"), add_any(one, alternatives);
    } else if (is_power && number.fraction.size() <= kExactDigits) {
      fraction_digits = std::min(fraction_digits, number.fraction.size());
    } else {
      cases.drop(path, "is not 1, 0.1, 0.01 and so on");
    }
  }
  NumberRange range{one.least, one.most, made.is_integer ? 0 : fraction_digits};
  if (divisor > 1) {
    made.divisor = divisor;
    add_multiples(cases, one, range, made, alternatives);
    return;
  }
  std::vector<NumberRange> ranges = {range};
  bool is_limited = one.least || one.most || fraction_digits < kExactDigits;
  for (const auto &[value, path] : one.excluded) {
    const auto number = Decimal::of(value);
    if (!number) continue;
    is_limited = true;
    cut_out(*number, ranges);
  }
  if (is_limited) {
    made.ranges.emplace();
    for (NumberRange &part : ranges) {
      if (!made.is_integer) part.fraction_digits = digits_behind(cases, part, fraction_digits, one);
      if (part.grammar()) made.ranges->push_back(part);
    }
    if (made.ranges->empty()) return;
  }
  alternatives.emplace_back(std::move(made));
}

}  // namespace se::schema
