// Numbers of JSON schemas as decimal digits, compared without rounding, and the texts of those between two bounds.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace se {

struct Decimal {
  bool is_negative = false;   // never for 0
  std::string whole = "0";    // without leading zeros
  std::string fraction = {};  // without trailing zeros

  // Nothing for what is not a number, or has more than 40 digits.
  static std::optional<Decimal> of(const OrderedJson &number);

  bool is_integer() const { return fraction.empty(); }
  // Digits that count: without zeros at the beginning.
  size_t digits() const { return (whole == "0" ? 0 : whole.size()) + fraction.size(); }
  bool operator<(const Decimal &other) const;
  bool operator==(const Decimal &other) const = default;
};

// Whether `number` is a multiple of `of`, which is above 0. Nothing where that has too many digits to be computed here.
std::optional<bool> is_multiple(const Decimal &number, const Decimal &of);

struct Bound {
  Decimal value;
  bool is_excluded = false;
};

struct NumberRange {
  std::optional<Bound> least, most;
  // The most digits behind the point; 0: only integers, as JSON writes them.
  size_t fraction_digits = 15;

  bool contains(const Decimal &number) const;
  // The grammar's text for them, without exponents; nothing if there are none.
  std::optional<std::string> grammar() const;
};

}  // namespace se
