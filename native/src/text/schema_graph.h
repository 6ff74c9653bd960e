// What a JSON schema allows, as alternatives of which each can be written as a grammar.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "text/decimal.h"
#include "text/regex.h"

namespace se {

// How many of something; nothing: no upper limit.
struct Count {
  uint64_t least = 0;
  std::optional<uint64_t> most;
};

namespace schema {

// In a graph's list of nodes.
using NodeNumber = size_t;

struct Anything {};

struct Constants {
  std::vector<OrderedJson> values;
};

struct Numbers {
  // Integers have no exponents; other numbers may have them where they have no range.
  bool is_integer = true;
  std::optional<std::vector<NumberRange>> ranges;
  // Instead of ranges: the integers that this divides, of the signs that are allowed; 0: all.
  uint64_t divisor = 0;
  bool has_negative = true, has_zero = true, has_positive = true;
};

struct Strings {
  Count length;
  // Instead of the length.
  std::optional<Automaton> texts;
};

struct Arrays {
  std::vector<NodeNumber> first;
  std::optional<NodeNumber> others;  // nothing: no more than the first
  Count length;
  // No value twice; then all are constants.
  bool is_unique = false;
};

struct Member {
  std::string name;
  NodeNumber value;
  bool is_required;
};

// Members of any name, or of those that are accepted.
struct OtherMembers {
  std::optional<Automaton> names;
  NodeNumber value;
};

struct Objects {
  std::vector<Member> members;  // written in this order
  std::vector<OtherMembers> others;
  Count size;
};

using Alternative = std::variant<Anything, Constants, Numbers, Strings, Arrays, Objects>;

struct Node {
  std::vector<Alternative> alternatives;
  // Whether anything can be written: of what allows nothing, and of what never ends, that is false.
  bool is_possible = false;
};

// A keyword that is not followed.
struct Dropped {
  std::string path;  // "#/properties/t/pattern"
  std::string why;
};

struct Graph {
  std::vector<Node> nodes;  // the first one is the whole schema
  std::vector<Dropped> dropped;
};

}  // namespace schema

enum class SchemaUse {
  // Every keyword is followed, or the schema is refused.
  strict,
  // What cannot be followed is dropped, so that more is allowed.
  lenient,
};

// Reads a schema of JSON Schema 2020-12, also with `definitions` and lists of `items` of earlier drafts.
// INVALID_ARGUMENT, with the path of the keyword, if it is not one, uses what cannot be followed, or allows nothing.
schema::Graph read_schema(const OrderedJson &document, SchemaUse use);

}  // namespace se
