// Which values the cases of a schema allow: constants one by one, texts as expressions, members by their names.
#include <algorithm>

#include "base/status.h"
#include "text/ecma_pattern.h"
#include "text/schema_cases.h"
#include "text/unicode.h"

namespace se::schema {
namespace {

constexpr size_t kMostStatesOfPattern = 4000;
constexpr int kDeepestComparison = 4;

TypeSet type_of(const OrderedJson &value) {
  switch (value.type()) {
    case OrderedJson::value_t::null:
      return kNull;
    case OrderedJson::value_t::boolean:
      return kBoolean;
    case OrderedJson::value_t::string:
      return kString;
    case OrderedJson::value_t::array:
      return kArray;
    case OrderedJson::value_t::object:
      return kObject;
    default: {
      const auto number = Decimal::of(value);
      return !number || number->is_integer() ? kInteger : kFraction;
    }
  }
}

bool is_within(uint64_t number, const Count &count) {
  return number >= count.least && (!count.most || number <= *count.most);
}

const Part *named(const std::vector<std::pair<std::string, Part>> &parts, const std::string &name) {
  const auto found = std::find_if(parts.begin(), parts.end(), [&](const auto &one) { return one.first == name; });
  return found == parts.end() ? nullptr : &found->second;
}

}  // namespace

std::string identity(const OrderedJson &value) {
  if (value.is_number()) {
    const auto number = Decimal::of(value);
    return number ? (number->is_negative ? "-" : "") + number->whole + "." + number->fraction : value.dump();
  }
  if (!value.is_structured()) return value.dump();
  std::vector<std::string> parts;
  for (const auto &[name, part] : value.items()) {
    parts.push_back((value.is_object() ? OrderedJson(name).dump() + ":" : "") + identity(part));
  }
  if (value.is_object()) std::sort(parts.begin(), parts.end());
  std::string text;
  for (const std::string &part : parts) text += part + ",";
  return value.is_object() ? "{" + text + "}" : "[" + text + "]";
}

bool Cases::finds(const std::string &pattern, const std::string &text) {
  const auto [found, is_new] = automata_.try_emplace(pattern);
  if (is_new) {
    RegexBuilder builder;
    found->second = builder.automaton(pattern_expression(builder, pattern), kMostStatesOfPattern);
  }
  if (!found->second) throw PatternProblem{"is too complicated"};
  return found->second->accepts(unicode::decoded(text));
}

bool Cases::allows(const OrderedJson &value, const Parts &parts, int depth) {
  const std::vector<Case> cases = of(parts);
  return std::any_of(cases.begin(), cases.end(), [&](const Case &one) { return allows(value, one, depth); });
}

bool Cases::allows(const OrderedJson &value, const Case &one, int depth) {
  step();
  if ((type_of(value) & one.types) == 0) return false;
  if (one.values && !one.identities.contains(identity(value))) return false;
  for (const auto &[excluded, path] : one.excluded) {
    if (identity(excluded) == identity(value)) return false;
  }
  if (value.is_number()) {
    const auto number = Decimal::of(value);
    const NumberRange range{one.least, one.most};
    if (!number) {
      require(one.divisors.empty() && !one.least && !one.most, "a constant of the JSON schema has too many digits");
      return true;
    }
    return range.contains(*number) && std::all_of(one.divisors.begin(), one.divisors.end(), [&](const auto &divisor) {
             return is_multiple(*number, divisor.first).value_or(false);
           });
  }
  if (value.is_string()) {
    const auto text = value.get<std::string>();
    if (!is_within(unicode::decoded(text).size(), one.length)) return false;
    for (const StringPattern &pattern : one.patterns) {
      try {
        if (finds(pattern.pattern, text) == pattern.is_negated) return false;
      } catch (const PatternProblem &problem) {
        drop(pattern.path, problem.why);
      }
    }
    return true;
  }
  if (value.is_array()) {
    if (!is_within(value.size(), one.items)) return false;
    for (size_t i = 0; i < value.size(); ++i) {
      if (!allows(value[i], item(one, i), depth + 1)) return false;
      for (size_t k = 0; k < i && !one.unique_path.empty(); ++k) {
        if (identity(value[i]) == identity(value[k])) return false;
      }
    }
    return true;
  }
  if (value.is_object()) {
    if (!is_within(value.size(), one.size)) return false;
    for (const std::string &name : one.required) {
      if (!value.contains(name)) return false;
    }
    for (const auto &[name, part] : value.items()) {
      if (!allows(part, member(one, name), depth + 1)) return false;
      if (!one.names.empty() && !allows(name, one.names, depth + 1)) return false;
    }
  }
  return true;
}

Parts Cases::member(const Case &one, const std::string &name) {
  Parts all;
  for (const ObjectPart &part : one.objects) {
    const size_t before = all.size();
    if (const Part *found = named(part.properties, name)) all.push_back(*found);
    for (const auto &[pattern, schema] : part.patterns) {
      bool is_found = false;
      try {
        is_found = finds(pattern, name);
      } catch (const PatternProblem &problem) {
        drop(schema.path, problem.why);
      }
      if (is_found) all.push_back(schema);
    }
    if (all.size() == before && part.others) all.push_back(*part.others);
  }
  return all;
}

Parts Cases::other_members(const Case &one, const std::set<std::string> &matching) const {
  Parts all;
  for (const ObjectPart &part : one.objects) {
    const size_t before = all.size();
    for (const auto &[pattern, schema] : part.patterns) {
      if (matching.contains(pattern)) all.push_back(schema);
    }
    if (all.size() == before && part.others) all.push_back(*part.others);
  }
  return all;
}

Parts Cases::item(const Case &one, size_t index) const {
  Parts all;
  for (const ArrayPart &part : one.arrays) {
    if (index < part.first.size()) {
      all.push_back(part.first[index]);
    } else if (part.others) {
      all.push_back(*part.others);
    }
  }
  return all;
}

RegexBuilder::Id Cases::texts(RegexBuilder &builder, const Case &one) {
  if ((one.types & kString) == 0) return builder.nothing();
  std::vector<RegexBuilder::Id> all;
  if (one.values) {
    for (const OrderedJson &value : *one.values) {
      if (!value.is_string() || !allows(value, one)) continue;
      all.push_back(builder.literal(unicode::decoded(value.get<std::string>())));
    }
    return builder.either(std::move(all));
  }
  for (const StringPattern &pattern : one.patterns) {
    const RegexBuilder::Id found = pattern_expression(builder, pattern.pattern);
    all.push_back(pattern.is_negated ? builder.except(found) : found);
  }
  const uint64_t most = one.length.most.value_or(RegexBuilder::kUnlimited);
  all.push_back(builder.repeated(builder.characters(all_characters()), one.length.least, most));
  std::vector<RegexBuilder::Id> excluded;
  for (const auto &[value, path] : one.excluded) {
    if (value.is_string()) excluded.push_back(builder.literal(unicode::decoded(value.get<std::string>())));
  }
  if (!excluded.empty()) all.push_back(builder.except(builder.either(std::move(excluded))));
  return builder.both(std::move(all));
}

RegexBuilder::Id Cases::names(RegexBuilder &builder, const Case &one) {
  if (one.names.empty()) return builder.any_text();
  std::vector<RegexBuilder::Id> all;
  for (const Case &name : of(one.names)) all.push_back(texts(builder, name));
  return builder.either(std::move(all));
}

bool Cases::are_disjoint(const Parts &one, const Parts &other, int depth) {
  if (depth > kDeepestComparison) return false;
  const std::vector<Case> ones = of(one), others = of(other);
  for (const Case &a : ones) {
    for (const Case &b : others) {
      step();
      if (!are_disjoint(a, b, depth)) return false;
    }
  }
  return true;
}

bool Cases::are_disjoint(const Case &one, const Case &other, int depth) {
  const auto allows_none = [&](const Case &a, const Case &b) {
    return std::none_of(a.values->begin(), a.values->end(),
                        [&](const OrderedJson &value) { return allows(value, a) && allows(value, b); });
  };
  if (one.values) return allows_none(one, other);
  if (other.values) return allows_none(other, one);
  const auto common = static_cast<TypeSet>(one.types & other.types);
  if (common == 0) return true;
  if ((common & ~kNumber) == 0) {
    const auto is_below = [](const std::optional<Bound> &most, const std::optional<Bound> &least) {
      return most && least &&
             (most->value < least->value || (most->value == least->value && (most->is_excluded || least->is_excluded)));
    };
    return is_below(one.most, other.least) || is_below(other.most, one.least);
  }
  if (common != kObject) return false;
  for (const Case *side : {&one, &other}) {
    for (const std::string &name : side->required) {
      if (are_disjoint(member(one, name), member(other, name), depth + 1)) return true;
    }
  }
  return false;
}

}  // namespace se::schema
