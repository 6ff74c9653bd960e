// What each keyword adds to a case.
#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "base/status.h"
#include "text/ecma_pattern.h"
#include "text/schema_cases.h"
#include "text/string_formats.h"

namespace se::schema {
namespace {

constexpr int kDeepestConstant = 16;
constexpr size_t kMostExcluded = 500;

const OrderedJson kTrue = true;
const OrderedJson kFalse = false;

}  // namespace

bool is_annotation(std::string_view keyword) {
  static const std::set<std::string_view> annotations = {
      "$anchor",          "$comment",      "$defs",   "$id",         "$schema",    "contentEncoding",
      "contentMediaType", "contentSchema", "default", "definitions", "deprecated", "description",
      "discriminator",    "else",          "example", "examples",    "format",     "maxContains",
      "minContains",      "readOnly",      "then",    "title",       "writeOnly"};
  return annotations.contains(keyword);
}

std::string within(const std::string &path, const std::string &key) {
  std::string escaped;
  for (const char c : key) escaped += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return path + "/" + escaped;
}

std::string within(const std::string &path, size_t index) { return path + "/" + std::to_string(index); }

void check_depth(const OrderedJson &value, const std::string &path, int depth) {
  require(depth <= kDeepestConstant, "the constants at " + ticked(path) + " of the JSON schema are nested too deeply");
  if (!value.is_structured()) return;
  for (const OrderedJson &part : value) check_depth(part, path, depth + 1);
}

bool Cases::gather_number(const std::string &keyword, const OrderedJson &value, const std::string &path, Case &one) {
  const bool is_least = keyword == "minimum" || keyword == "exclusiveMinimum";
  const bool is_most = keyword == "maximum" || keyword == "exclusiveMaximum";
  if (!is_least && !is_most && keyword != "multipleOf") return false;
  one.meant |= kNumber;
  const auto number = Decimal::of(value);
  if (!number) {
    drop(path, value.is_number() ? "has too many digits" : "is not a number");
    return true;
  }
  if (keyword == "multipleOf") {
    if (!(Decimal() < *number)) {
      drop(path, "is not above 0");
    } else {
      one.divisors.emplace_back(*number, path);
    }
    return true;
  }
  const Bound bound{*number, keyword.starts_with("exclusive")};
  std::optional<Bound> &kept = is_least ? one.least : one.most;
  const bool is_tighter = !kept || (is_least ? kept->value < bound.value : bound.value < kept->value) ||
                          (kept->value == bound.value && bound.is_excluded);
  if (is_tighter) kept = bound;
  return true;
}

bool Cases::gather_count(const std::string &keyword, const OrderedJson &value, const std::string &path, Case &one) {
  static const std::map<std::string_view, std::pair<Count Case::*, TypeSet>> counts = {
      {"minLength", {&Case::length, kString}},   {"maxLength", {&Case::length, kString}},
      {"minItems", {&Case::items, kArray}},      {"maxItems", {&Case::items, kArray}},
      {"minProperties", {&Case::size, kObject}}, {"maxProperties", {&Case::size, kObject}}};
  const auto found = counts.find(keyword);
  if (found == counts.end()) return false;
  one.meant |= found->second.second;
  const auto number = Decimal::of(value);
  if (!number || number->is_negative || !number->is_integer()) {
    drop(path, "is not a natural number");
    return true;
  }
  constexpr size_t kMostDigitsOfCount = 5;
  const bool is_least = keyword.starts_with("min");
  if (number->whole.size() > kMostDigitsOfCount) {
    drop(path, "is above " + ticked(99'999));
    return true;
  }
  Count &count = one.*found->second.first;
  const uint64_t limit = std::stoull(number->whole);
  if (is_least) {
    count.least = std::max(count.least, limit);
  } else {
    count.most = std::min(count.most.value_or(limit), limit);
  }
  if (found->second.second == kObject && is_least) one.size_path = path;
  return true;
}

bool Cases::gather_text(const std::string &keyword, const OrderedJson &value, const std::string &path, Case &one) {
  if (keyword == "pattern") {
    one.meant |= kString;
    if (!value.is_string()) {
      drop(path, "is not a string");
      return true;
    }
    try {
      RegexBuilder builder;
      pattern_expression(builder, value.get<std::string>());
      one.patterns.push_back({value.get<std::string>(), false, path});
    } catch (const PatternProblem &problem) {
      drop(path, problem.why);
    }
    return true;
  }
  if (keyword != "format" || !value.is_string()) return false;
  if (const auto pattern = pattern_of_format(value.get<std::string>())) {
    one.meant |= kString;
    one.patterns.push_back({*pattern, false, path});
  }
  return true;
}

bool Cases::gather_array(const std::string &keyword, const Part &part, Case &one) {
  const OrderedJson &schema = *part.schema;
  const std::string path = within(part.path, keyword);
  if (keyword == "uniqueItems") {
    one.meant |= kArray;
    if (!schema[keyword].is_boolean()) drop(path, "is neither true nor false");
    if (schema[keyword] == true) one.unique_path = path;
    return true;
  }
  if (keyword == "additionalItems") return true;
  if (keyword != "items" && keyword != "prefixItems") return false;
  one.meant |= kArray;
  // Both make one part; the first of them that is met does.
  if (keyword == "items" && schema.contains("prefixItems")) return true;
  const bool is_old = keyword == "items" && schema["items"].is_array();
  const Part outside{part.schema, part.path, {}};
  ArrayPart made;
  if (keyword == "prefixItems" || is_old) {
    if (!schema[keyword].is_array()) {
      drop(path, "is not a list of schemas");
      return true;
    }
    for (size_t i = 0; i < schema[keyword].size(); ++i) {
      const auto first = checked(schema[keyword][i], within(path, i), {part.schema, part.path, {}});
      made.first.push_back({first ? first->schema : &kTrue, within(path, i)});
    }
  }
  const std::string rest = is_old ? "additionalItems" : "items";
  if (const auto found = schema.find(rest); found != schema.end()) {
    const auto others = checked(*found, within(part.path, rest), outside);
    made.others = {others ? others->schema : &kTrue, within(part.path, rest)};
  }
  one.arrays.push_back(std::move(made));
  return true;
}

bool Cases::gather_object(const std::string &keyword, const Part &part, Case &one) {
  const OrderedJson &schema = *part.schema;
  const OrderedJson &value = schema[keyword];
  const std::string path = within(part.path, keyword);
  // The schema of a member is not the schema of the object: what refers to what begins anew.
  const auto below = [&](const OrderedJson &found, const std::string &where) {
    const bool is_schema = found.is_object() || found.is_boolean();
    if (!is_schema) drop(where, "is not a schema");
    return Part{is_schema ? &found : &kTrue, where};
  };
  if (keyword == "required") {
    one.meant |= kObject;
    const bool is_list = value.is_array() && std::all_of(value.begin(), value.end(),
                                                         [](const OrderedJson &name) { return name.is_string(); });
    if (!is_list) drop(path, "is not a list of names");
    for (const OrderedJson &name : is_list ? value : OrderedJson::array()) {
      const auto text = name.get<std::string>();
      if (std::find(one.required.begin(), one.required.end(), text) == one.required.end()) one.required.push_back(text);
    }
    return true;
  }
  if (keyword == "propertyNames") {
    one.meant |= kObject;
    one.names.push_back(below(value, path));
    return true;
  }
  static const std::set<std::string_view> ours = {"properties", "patternProperties", "additionalProperties"};
  if (!ours.contains(keyword)) return false;
  one.meant |= kObject;
  // The three make one part; the first of them that is met does.
  for (const auto &[first, ignored] : schema.items()) {
    if (!ours.contains(first)) continue;
    if (first != keyword) return true;
    break;
  }
  ObjectPart made;
  bool is_open = false;
  for (const char *list : {"properties", "patternProperties"}) {
    const auto found = schema.find(list);
    if (found == schema.end()) continue;
    if (!found->is_object()) {
      drop(within(part.path, list), "is not an object");
      is_open = true;
      continue;
    }
    made.is_closed = true;
    for (const auto &[name, member] : found->items()) {
      const std::string where = within(within(part.path, list), name);
      if (std::string_view(list) == "properties") {
        made.properties.emplace_back(name, below(member, where));
        continue;
      }
      try {
        RegexBuilder builder;
        pattern_expression(builder, name);
        made.patterns.emplace_back(name, below(member, where));
      } catch (const PatternProblem &problem) {
        drop(where, problem.why);
        is_open = true;
      }
    }
  }
  if (const auto found = schema.find("additionalProperties"); found != schema.end()) {
    made.others = below(*found, within(part.path, "additionalProperties"));
  }
  // Whom a pattern that is not understood is about is not known either.
  if (is_open) made.others = {&kTrue, part.path};
  made.is_closed = made.is_closed && !made.others;
  one.objects.push_back(std::move(made));
  return true;
}

void Cases::gather_not(const OrderedJson &schema, const std::string &path, Open &open) {
  Case &one = open.gathered;
  if (schema.is_boolean()) {
    if (schema == true) one.types = 0;
    return;
  }
  if (!schema.is_object()) return drop(path, "is not a schema");
  std::set<std::string_view> used;
  for (const auto &[keyword, value] : schema.items()) {
    if (!is_annotation(keyword) || keyword == "format") used.insert(keyword);
  }
  const auto is_only = [&](const char *keyword) { return used.size() == 1 && used.contains(keyword); };
  if (used.empty()) {
    one.types = 0;
    return;
  }
  const bool is_list = schema.contains("enum") && schema["enum"].is_array();
  if (schema.contains("const") || is_list) {
    const OrderedJson values = schema.contains("const") ? OrderedJson::array({schema["const"]}) : schema["enum"];
    check_depth(values, path);
    if (values.size() > kMostExcluded) return drop(path, "excludes more than " + ticked(kMostExcluded) + " values");
    const std::vector<Case> cases = of(Parts{{&schema, path}});
    for (const OrderedJson &value : values) {
      const auto allowed = [&](const Case &each) { return allows(value, each); };
      if (std::any_of(cases.begin(), cases.end(), allowed)) one.excluded.emplace_back(value, path);
    }
    return;
  }
  if (is_only("type")) {
    Case types;
    gather_type(schema["type"], within(path, "type"), types);
    one.types = types.is_typed ? static_cast<TypeSet>(one.types & ~types.types) : one.types;
    one.is_typed = true;
    return;
  }
  if (is_only("pattern")) {
    Case texts;
    gather_text("pattern", schema["pattern"], within(path, "pattern"), texts);
    for (StringPattern &pattern : texts.patterns) {
      pattern.is_negated = true;
      one.patterns.push_back(std::move(pattern));
      one.types &= kString;
      one.is_typed = true;
    }
    return;
  }
  const bool is_one_name = is_only("required") && schema["required"].is_array() && schema["required"].size() == 1 &&
                           schema["required"][0].is_string();
  if (is_one_name) {
    ObjectPart without;
    without.properties.emplace_back(schema["required"][0].get<std::string>(), Part{&kFalse, path});
    one.objects.push_back(std::move(without));
    one.types &= kObject;
    one.is_typed = true;
    return;
  }
  if (is_only("anyOf") && schema["anyOf"].is_array()) {
    for (size_t i = 0; i < schema["anyOf"].size(); ++i) {
      gather_not(schema["anyOf"][i], within(within(path, "anyOf"), i), open);
    }
    return;
  }
  if (is_only("not") && (schema["not"].is_object() || schema["not"].is_boolean())) {
    open.left.push_back({&schema["not"], within(path, "not")});
    return;
  }
  drop(path, "excludes more than constants, types, a pattern or a member");
}

}  // namespace se::schema
