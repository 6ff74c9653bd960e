// The keywords of a JSON schema, gathered: its $ref, allOf, anyOf and oneOf resolved into cases without any of them.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "text/decimal.h"
#include "text/regex.h"
#include "text/schema_graph.h"

namespace se::schema {

// One schema of the document, and where it is.
struct Part {
  const OrderedJson *schema;
  std::string path;
  // The schemas that refer to it, outermost first.
  std::vector<const OrderedJson *> via = {};
};

// Schemas that all hold for the same value.
using Parts = std::vector<Part>;

using TypeSet = uint8_t;
constexpr TypeSet kNull = 1, kBoolean = 2, kInteger = 4, kFraction = 8, kString = 16, kArray = 32, kObject = 64;
constexpr TypeSet kNumber = kInteger | kFraction;
constexpr TypeSet kAllTypes = 127;

struct StringPattern {
  std::string pattern;
  bool is_negated;
  std::string path;
};

struct ObjectPart {
  std::vector<std::pair<std::string, Part>> properties;
  std::vector<std::pair<std::string, Part>> patterns;
  std::optional<Part> others;
  // Whether nothing else is written where nothing is said of other members.
  bool is_closed = false;
};

struct ArrayPart {
  Parts first;
  std::optional<Part> others;
};

struct Case {
  std::string path;
  std::set<const OrderedJson *> seen;
  TypeSet types = kAllTypes;
  // The schemas themselves name types; otherwise the types that their keywords are about are `meant`.
  bool is_typed = false;
  TypeSet meant = 0;
  std::optional<std::vector<OrderedJson>> values;
  std::set<std::string> identities;                           // of the values
  std::vector<std::pair<OrderedJson, std::string>> excluded;  // values, and the path of what excludes them
  std::optional<Bound> least, most;
  std::vector<std::pair<Decimal, std::string>> divisors;
  Count length;
  std::vector<StringPattern> patterns;
  Count items;
  std::string unique_path;  // empty: values may occur twice
  std::vector<ArrayPart> arrays;
  Count size;
  std::string size_path;
  std::vector<std::string> required;
  std::vector<ObjectPart> objects;
  Parts names;

  bool is_anything() const { return types == kAllTypes && !is_typed && meant == 0 && !values && excluded.empty(); }
};

// Equal for values that JSON Schema takes as equal: objects without the order of their members, 1 and 1.0 the same.
std::string identity(const OrderedJson &value);

// The path of a part, as a JSON pointer (RFC 6901).
std::string within(const std::string &path, const std::string &key);
std::string within(const std::string &path, size_t index);
// Whether a keyword says nothing about the value.
bool is_annotation(std::string_view keyword);
// INVALID_ARGUMENT for constants in which lists and objects are nested deeply.
void check_depth(const OrderedJson &value, const std::string &path, int depth = 0);

class Cases {
 public:
  Cases(const OrderedJson &document, SchemaUse use) : document_(document), use_(use) {}

  // No case: nothing is allowed.
  std::vector<Case> of(const Parts &parts);
  bool allows(const OrderedJson &value, const Parts &parts, int depth = 0);
  bool allows(const OrderedJson &value, const Case &one, int depth = 0);

  // The schemas of the member `name`, and of all members whose names match just these patterns.
  Parts member(const Case &one, const std::string &name);
  Parts other_members(const Case &one, const std::set<std::string> &matching) const;
  Parts item(const Case &one, size_t index) const;

  // The texts that a case allows; throws PatternProblem.
  RegexBuilder::Id texts(RegexBuilder &builder, const Case &one);
  // The names that members may have; throws PatternProblem.
  RegexBuilder::Id names(RegexBuilder &builder, const Case &one);
  bool finds(const std::string &pattern, const std::string &text);

  // Refuses what is at `path`, or drops it.
  void drop(const std::string &path, const std::string &why);
  const std::vector<Dropped> &dropped() const { return dropped_; }

 private:
  struct Open {
    Case gathered;
    std::deque<Part> left;
  };

  void gather(const Part &part, Open &open, std::vector<Open> &branches);
  bool gather_keyword(const std::string &keyword, const OrderedJson &value, const Part &part, Open &open);
  bool gather_number(const std::string &keyword, const OrderedJson &value, const std::string &path, Case &one);
  bool gather_count(const std::string &keyword, const OrderedJson &value, const std::string &path, Case &one);
  bool gather_text(const std::string &keyword, const OrderedJson &value, const std::string &path, Case &one);
  bool gather_array(const std::string &keyword, const Part &part, Case &one);
  bool gather_object(const std::string &keyword, const Part &part, Case &one);
  void gather_type(const OrderedJson &value, const std::string &path, Case &one);
  void gather_values(const OrderedJson &values, Case &one);
  void gather_reference(const OrderedJson &value, const Part &part, Open &open);
  void gather_not(const OrderedJson &schema, const std::string &path, Open &open);
  const OrderedJson *target(const std::string &reference) const;
  std::optional<Part> checked(const OrderedJson &schema, const std::string &path, const Part &inside);
  bool are_disjoint(const Parts &one, const Parts &other, int depth);
  bool are_disjoint(const Case &one, const Case &other, int depth);
  void step(size_t count = 1);

  const OrderedJson &document_;
  SchemaUse use_;
  uint64_t steps_ = 0;
  std::vector<Dropped> dropped_;
  std::set<std::string> dropped_paths_;
  std::map<std::string, std::optional<Automaton>> automata_;
};

}  // namespace se::schema
