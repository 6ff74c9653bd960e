// Every keyword is known here and done, known to say nothing about the value, or refused by its path.
#include "text/schema_cases.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "base/status.h"

namespace se::schema {
namespace {

constexpr uint64_t kMostSteps = 200'000;
constexpr size_t kMostCases = 1000;
constexpr size_t kMostReferences = 100;

using Keywords = std::set<std::string_view>;

const Keywords kNotDone = {"contains",         "dependencies",          "dependentRequired", "dependentSchemas", "if",
                           "unevaluatedItems", "unevaluatedProperties", "$dynamicRef",       "$recursiveRef"};

TypeSet type_called(const std::string &name) {
  static const std::map<std::string, TypeSet> types = {
      {"null", kNull},     {"boolean", kBoolean}, {"integer", kInteger}, {"number", kNumber},
      {"string", kString}, {"array", kArray},     {"object", kObject}};
  const auto found = types.find(name);
  return found == types.end() ? TypeSet{0} : found->second;
}

void check_order(const OrderedJson &schema, const char *least, const char *most) {
  const auto low = schema.find(least), high = schema.find(most);
  if (low == schema.end() || high == schema.end()) return;
  const auto first = Decimal::of(*low), last = Decimal::of(*high);
  require(!first || !last || !(*last < *first),
          "in the JSON schema " + ticked(least) + " is greater than " + ticked(most) + ": nothing can follow it");
}

}  // namespace

void Cases::step(size_t count) {
  steps_ += count;
  require(steps_ <= kMostSteps, "the JSON schema is too large", "make it smaller, or its alternatives fewer");
}

void Cases::drop(const std::string &path, const std::string &why) {
  if (use_ == SchemaUse::strict) {
    throw Error(SE_INVALID_ARGUMENT, "in the JSON schema " + ticked(path) + " cannot be followed: it " + why,
                "leave it out and say it in the description");
  }
  if (dropped_paths_.insert(path).second) dropped_.push_back({path, why});
}

std::vector<Case> Cases::of(const Parts &parts) {
  std::vector<Case> found;
  std::vector<Open> opened(1);
  opened.front().gathered.path = parts.empty() ? "#" : parts.front().path;
  opened.front().left.assign(parts.begin(), parts.end());
  while (!opened.empty()) {
    step();
    Open open = std::move(opened.back());
    opened.pop_back();
    if (open.left.empty()) {
      found.push_back(std::move(open.gathered));
      require(found.size() <= kMostCases,
              "the JSON schema has more than " + ticked(kMostCases) + " alternatives at " + ticked(found.front().path));
      continue;
    }
    const Part part = std::move(open.left.front());
    open.left.pop_front();
    if (part.schema->is_boolean()) {
      if (*part.schema == true) opened.push_back(std::move(open));
      continue;
    }
    std::vector<Open> branches;
    gather(part, open, branches);
    // The first branch is looked at first.
    std::move(branches.rbegin(), branches.rend(), std::back_inserter(opened));
  }
  return found;
}

void Cases::gather(const Part &part, Open &open, std::vector<Open> &branches) {
  const OrderedJson &schema = *part.schema;
  const auto go_on = [&] { branches.push_back(std::move(open)); };
  if (!open.gathered.seen.insert(&schema).second) return go_on();
  check_order(schema, "minItems", "maxItems");
  check_order(schema, "minLength", "maxLength");
  check_order(schema, "minimum", "maximum");
  for (const auto &[keyword, value] : schema.items()) {
    if (keyword == "anyOf" || keyword == "oneOf") continue;
    if (!gather_keyword(keyword, value, part, open)) return;
  }
  branches.push_back(std::move(open));
  for (const char *keyword : {"anyOf", "oneOf"}) {
    const auto found = schema.find(keyword);
    if (found == schema.end()) continue;
    const std::string path = within(part.path, keyword);
    if (!found->is_array() || found->empty()) {
      drop(path, "is not a list of schemas");
      continue;
    }
    Parts alternatives;
    for (size_t i = 0; i < found->size(); ++i) {
      if (auto one = checked((*found)[i], within(path, i), part)) alternatives.push_back(std::move(*one));
    }
    if (alternatives.size() < found->size()) continue;
    if (std::string_view(keyword) == "oneOf") {
      bool are_apart = true;
      for (size_t i = 0; i < alternatives.size(); ++i) {
        for (size_t k = 0; k < i && are_apart; ++k) are_apart = are_disjoint({alternatives[i]}, {alternatives[k]}, 0);
      }
      if (!are_apart) drop(path, "has schemas that may allow the same value (use `anyOf`)");
    }
    std::vector<Open> more;
    for (const Open &one : branches) {
      for (const Part &alternative : alternatives) {
        const Case &copied = one.gathered;
        step(1 + one.left.size() + copied.identities.size() + copied.excluded.size() + copied.required.size());
        more.push_back(one);
        more.back().left.push_front(alternative);
      }
    }
    branches = std::move(more);
  }
}

// A schema below another one; nothing, if it is none.
std::optional<Part> Cases::checked(const OrderedJson &schema, const std::string &path, const Part &inside) {
  if (!schema.is_object() && !schema.is_boolean()) {
    drop(path, "is not a schema");
    return std::nullopt;
  }
  Part made{&schema, path, inside.via};
  made.via.push_back(inside.schema);
  const bool is_own = std::find(made.via.begin(), made.via.end(), &schema) != made.via.end();
  if (is_own || made.via.size() > kMostReferences) {
    drop(path, is_own ? "refers to itself without end" : "is the end of too many references");
    return std::nullopt;
  }
  return made;
}

// False where nothing is allowed any more.
bool Cases::gather_keyword(const std::string &keyword, const OrderedJson &value, const Part &part, Open &open) {
  const std::string path = within(part.path, keyword);
  Case &one = open.gathered;
  if (keyword == "type") {
    gather_type(value, path, one);
  } else if (keyword == "enum") {
    if (value.is_array()) {
      check_depth(value, path);
      gather_values(value, one);
    } else {
      drop(path, "is not a list");
    }
  } else if (keyword == "const") {
    check_depth(value, path);
    gather_values(OrderedJson::array({value}), one);
  } else if (keyword == "$ref") {
    gather_reference(value, part, open);
  } else if (keyword == "allOf") {
    if (!value.is_array()) drop(path, "is not a list of schemas");
    for (size_t i = 0; value.is_array() && i < value.size(); ++i) {
      if (auto all = checked(value[i], within(path, i), part)) open.left.push_back(std::move(*all));
    }
  } else if (keyword == "not") {
    gather_not(value, path, open);
  } else if (keyword == "$id" && part.schema != &document_) {
    drop(path, "names another base for references");
  } else if (kNotDone.contains(keyword)) {
    drop(path, "is not a keyword that can be followed");
  } else if (!gather_number(keyword, value, path, one) && !gather_count(keyword, value, path, one) &&
             !gather_text(keyword, value, path, one) && !gather_array(keyword, part, one) &&
             !gather_object(keyword, part, one) && !is_annotation(keyword) && !keyword.starts_with("x-")) {
    drop(path, "is not a keyword that is known");
  }
  return one.types != 0;
}

void Cases::gather_type(const OrderedJson &value, const std::string &path, Case &one) {
  TypeSet types = 0;
  for (const OrderedJson &name : value.is_array() ? value : OrderedJson::array({value})) {
    const TypeSet type = name.is_string() ? type_called(name.get<std::string>()) : TypeSet{0};
    // No client means anything by it.
    require(type != 0, "in the JSON schema " + ticked(path) + " is not the name of a type: " + ticked(name.dump()));
    types |= type;
  }
  if (types == 0) return drop(path, "has no type");
  one.types &= types;
  one.is_typed = true;
}

void Cases::gather_values(const OrderedJson &values, Case &one) {
  std::vector<OrderedJson> kept;
  std::set<std::string> identities;
  for (const OrderedJson &value : values) {
    const std::string own = identity(value);
    if (one.values && !one.identities.contains(own)) continue;
    if (identities.insert(own).second) kept.push_back(value);
  }
  one.values = std::move(kept);
  one.identities = std::move(identities);
}

const OrderedJson *Cases::target(const std::string &reference) const {
  if (!reference.starts_with("#") || (reference.size() > 1 && reference[1] != '/')) return nullptr;
  const OrderedJson *at = &document_;
  for (size_t begin = 2; begin <= reference.size() && reference.size() > 1;) {
    const size_t end = std::min(reference.find('/', begin), reference.size());
    std::string key;
    for (size_t i = begin; i < end; ++i) {
      if (reference[i] == '%' && i + 2 < end) {
        const std::string digits = reference.substr(i + 1, 2);
        if (digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) return nullptr;
        key += static_cast<char>(std::stoi(digits, nullptr, 16));
        i += 2;
      } else if (reference[i] == '~' && i + 1 < end && (reference[i + 1] == '0' || reference[i + 1] == '1')) {
        key += reference[++i] == '0' ? '~' : '/';
      } else {
        key += reference[i];
      }
    }
    if (at->is_object()) {
      const auto found = at->find(key);
      if (found == at->end()) return nullptr;
      at = &*found;
    } else if (at->is_array()) {
      if (key.empty() || key.size() > 6 || key.find_first_not_of("0123456789") != std::string::npos) return nullptr;
      const size_t index = std::stoul(key);
      if (index >= at->size()) return nullptr;
      at = &(*at)[index];
    } else {
      return nullptr;
    }
    begin = end + 1;
  }
  return at;
}

void Cases::gather_reference(const OrderedJson &value, const Part &part, Open &open) {
  const std::string path = within(part.path, "$ref");
  if (!value.is_string()) return drop(path, "is not a string");
  const auto reference = value.get<std::string>();
  const OrderedJson *found = target(reference);
  if (found == nullptr) {
    return drop(path, "refers to " + ticked(reference) + ", which is not in this schema");
  }
  if (!found->is_object() && !found->is_boolean()) return drop(path, "does not refer to a schema");
  const bool is_own = found == part.schema || std::find(part.via.begin(), part.via.end(), found) != part.via.end();
  if (is_own) return drop(path, "refers to itself without end");
  if (auto one = checked(*found, reference, part)) open.left.push_front(std::move(*one));
}

}  // namespace se::schema
