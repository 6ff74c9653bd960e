// From the cases of a schema to a graph: each combination of schemas that holds somewhere becomes one node.
#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "base/status.h"
#include "text/ecma_pattern.h"
#include "text/schema_cases.h"
#include "text/schema_graph.h"
#include "text/schema_numbers.h"
#include "text/unicode.h"

namespace se {
namespace schema {
namespace {

constexpr size_t kMostNodes = 5000;
constexpr size_t kMostOptionalProperties = 256;
// Of one pattern, and of all in a document: a state may hold hundreds of ranges of characters.
constexpr size_t kMostStates = 5000;
constexpr size_t kMostStatesOfAll = 20'000;
constexpr size_t kMostPatternsOfNames = 3;
constexpr size_t kMostUnique = 8;

class GraphMaker {
 public:
  GraphMaker(const OrderedJson &document, SchemaUse use) : document_(document), cases_(document, use) {}

  Graph made() {
    node({{&document_, "#"}});
    while (!left_.empty()) {
      const auto [number, parts] = std::move(left_.front());
      left_.pop_front();
      std::vector<Alternative> alternatives;
      for (const Case &one : cases_.of(parts)) add(one, alternatives);
      graph_.nodes[number].alternatives = std::move(alternatives);
    }
    for (const auto &[number, path] : unique_) check_unique(number, path);
    find_possible();
    require(graph_.nodes.front().is_possible, "the JSON schema allows nothing at all");
    graph_.dropped = cases_.dropped();
    return std::move(graph_);
  }

 private:
  NodeNumber node(const Parts &parts) {
    std::vector<const OrderedJson *> schemas;
    for (const Part &part : parts) schemas.push_back(part.schema);
    const auto [found, is_new] = numbers_.try_emplace(schemas, graph_.nodes.size());
    if (is_new) {
      require(graph_.nodes.size() < kMostNodes, "the JSON schema is too large", "make it smaller");
      graph_.nodes.emplace_back();
      left_.emplace_back(found->second, parts);
    }
    return found->second;
  }

  // Nothing if it is too large. What one takes, the others of the document have no more.
  std::optional<Automaton> automaton(RegexBuilder &builder, RegexBuilder::Id expression) {
    const size_t most = std::min(kMostStates, states_left_);
    auto made = builder.automaton(expression, most);
    states_left_ -= made ? std::min(most, made->states.size()) : most;
    return made;
  }

  void add(Case one, std::vector<Alternative> &alternatives) {
    if (one.is_anything()) {
      alternatives.emplace_back(Anything{});
      return;
    }
    // Who names no type and speaks of the length means a string.
    if (!one.is_typed && !one.values && one.meant != 0) one.types &= one.meant;
    Constants constants;
    const std::vector<OrderedJson> few = {nullptr, false, true};
    for (const OrderedJson &value : one.values ? *one.values : few) {
      if (cases_.allows(value, one)) constants.values.push_back(value);
    }
    if (!constants.values.empty()) alternatives.emplace_back(std::move(constants));
    if (one.values) return;
    if ((one.types & kNumber) != 0) add_numbers(cases_, one, alternatives);
    if ((one.types & kString) != 0) add_strings(one, alternatives);
    if ((one.types & kArray) != 0) add_arrays(one, alternatives);
    if ((one.types & kObject) != 0) add_objects(one, alternatives);
  }

  void add_strings(const Case &one, std::vector<Alternative> &alternatives) {
    Strings made{one.length, std::nullopt};
    if (one.length.most && *one.length.most < one.length.least) return;
    const bool has_excluded = std::any_of(one.excluded.begin(), one.excluded.end(),
                                          [](const auto &value) { return value.first.is_string(); });
    if (!one.patterns.empty() || has_excluded) {
      const std::string path = one.patterns.empty() ? one.path : one.patterns.front().path;
      try {
        RegexBuilder builder;
        made.texts = automaton(builder, cases_.texts(builder, one));
        if (!made.texts) throw PatternProblem{"is too complicated"};
        if (made.texts->states.empty()) return;
      } catch (const PatternProblem &problem) {
        cases_.drop(path, problem.why);
      }
    }
    alternatives.emplace_back(std::move(made));
  }

  void check_excluded(const Case &one, OrderedJson::value_t type) {
    for (const auto &[value, path] : one.excluded) {
      if (value.type() == type) cases_.drop(path, "excludes a list or an object");
    }
  }

  void add_arrays(const Case &one, std::vector<Alternative> &alternatives) {
    check_excluded(one, OrderedJson::value_t::array);
    Arrays made{{}, std::nullopt, one.items, false};
    size_t first = 0;
    bool is_open = true;
    for (const ArrayPart &part : one.arrays) {
      first = std::max(first, part.first.size());
      // Who lists the first items and is silent about others means that there are none, unless more are demanded.
      if (!part.first.empty() && !part.others && one.items.least <= part.first.size()) is_open = false;
    }
    for (size_t i = 0; i < first; ++i) made.first.push_back(node(cases_.item(one, i)));
    if (is_open) made.others = node(cases_.item(one, first));
    if (!one.unique_path.empty() && one.items.most.value_or(2) > 1) {
      made.is_unique = true;
      if (!made.first.empty() || !made.others) {
        cases_.drop(one.unique_path, "is only followed where all items are of one schema");
        made.is_unique = false;
      } else {
        unique_.emplace_back(*made.others, one.unique_path);
      }
    }
    alternatives.emplace_back(std::move(made));
  }

  // Afterwards, when all alternatives are known.
  void check_unique(NodeNumber number, const std::string &path) {
    size_t values = 0;
    bool are_constants = true;
    for (const Alternative &alternative : graph_.nodes[number].alternatives) {
      const auto *constants = std::get_if<Constants>(&alternative);
      are_constants = are_constants && constants != nullptr;
      if (constants != nullptr) values += constants->values.size();
    }
    if (are_constants && values <= kMostUnique) return;
    cases_.drop(path, "is only followed for at most " + ticked(kMostUnique) + " constants");
    for (Node &node : graph_.nodes) {
      for (Alternative &alternative : node.alternatives) {
        auto *arrays = std::get_if<Arrays>(&alternative);
        if (arrays != nullptr && arrays->others == number) arrays->is_unique = false;
      }
    }
  }

  void add_objects(const Case &one, std::vector<Alternative> &alternatives) {
    check_excluded(one, OrderedJson::value_t::object);
    Objects made;
    made.size = one.size;
    std::vector<std::string> names;
    std::set<std::string> known;
    for (const ObjectPart &part : one.objects) {
      for (const auto &[name, ignored] : part.properties) {
        if (known.insert(name).second) names.push_back(name);
      }
    }
    for (const std::string &name : one.required) {
      if (known.insert(name).second) names.push_back(name);
    }
    size_t optional = 0;
    for (const std::string &name : names) {
      const bool is_required = std::find(one.required.begin(), one.required.end(), name) != one.required.end();
      if (!is_required) ++optional;
      const bool may_be = one.names.empty() || cases_.allows(name, one.names);
      made.members.push_back({name, may_be ? node(cases_.member(one, name)) : nothing(), is_required});
    }
    require(optional <= kMostOptionalProperties,
            "an object of the JSON schema has " + ticked(optional) + " optional properties, more than " +
                ticked(kMostOptionalProperties),
            "make them required, or the schema smaller");
    try {
      add_others(one, known, made);
    } catch (const PatternProblem &problem) {
      cases_.drop(one.path, problem.why);
      made.others.push_back({std::nullopt, node({})});
    }
    if (made.size.least > names.size() + (made.others.empty() ? 0 : 1)) {
      // The same name may be written twice, so that two more members may be one.
      if (!made.others.empty()) {
        cases_.drop(one.size_path, "demands more members than have names, and one");
        made.size.least = 0;
      } else {
        return;
      }
    }
    alternatives.emplace_back(std::move(made));
  }

  void add_others(const Case &one, const std::set<std::string> &known, Objects &made) {
    std::vector<std::string> patterns;
    bool is_closed = false, is_spoken_of = false;
    for (const ObjectPart &part : one.objects) {
      is_closed = is_closed || part.is_closed;
      is_spoken_of = is_spoken_of || part.others.has_value();
      for (const auto &[pattern, ignored] : part.patterns) {
        if (std::find(patterns.begin(), patterns.end(), pattern) == patterns.end()) patterns.push_back(pattern);
      }
    }
    if (patterns.size() > kMostPatternsOfNames) {
      throw PatternProblem{"has more than " + ticked(kMostPatternsOfNames) + " patterns of names"};
    }
    // Who names members and is silent about others means that there are none, unless more are demanded.
    const bool is_open = is_spoken_of || !is_closed || one.size.least > known.size();
    for (size_t chosen = 0; chosen < (size_t{1} << patterns.size()); ++chosen) {
      std::set<std::string> matching;
      RegexBuilder builder;
      std::vector<RegexBuilder::Id> all = {cases_.names(builder, one)};
      for (size_t i = 0; i < patterns.size(); ++i) {
        const RegexBuilder::Id expression = pattern_expression(builder, patterns[i]);
        const bool is_in = (chosen >> i & 1) != 0;
        if (is_in) matching.insert(patterns[i]);
        all.push_back(is_in ? expression : builder.except(expression));
      }
      if (chosen == 0 && !is_open) continue;
      std::vector<RegexBuilder::Id> named;
      for (const std::string &name : known) named.push_back(builder.literal(unicode::decoded(name)));
      all.push_back(builder.except(builder.either(std::move(named))));
      const Parts parts = cases_.other_members(one, matching);
      if (std::any_of(parts.begin(), parts.end(), [](const Part &part) { return *part.schema == false; })) continue;
      const RegexBuilder::Id expression = builder.both(std::move(all));
      OtherMembers others{std::nullopt, 0};
      if (expression != builder.any_text()) {
        others.names = automaton(builder, expression);
        if (!others.names) throw PatternProblem{"has names that are too complicated"};
        if (others.names->states.empty()) continue;
      }
      others.value = node(parts);
      made.others.push_back(std::move(others));
    }
  }

  NodeNumber nothing() {
    static const OrderedJson impossible = false;
    return node({{&impossible, "#"}});
  }

  // The least set of nodes that can be written in the end.
  void find_possible() {
    for (bool is_changed = true; is_changed;) {
      is_changed = false;
      for (size_t i = graph_.nodes.size(); i-- > 0;) {
        Node &node = graph_.nodes[i];
        if (node.is_possible) continue;
        node.is_possible = std::any_of(node.alternatives.begin(), node.alternatives.end(),
                                       [&](const Alternative &one) { return is_possible(one); });
        is_changed = is_changed || node.is_possible;
      }
    }
  }

  bool is_possible(const Alternative &alternative) const {
    const auto may = [&](NodeNumber number) { return graph_.nodes[number].is_possible; };
    if (const auto *arrays = std::get_if<Arrays>(&alternative)) {
      const Count &length = arrays->length;
      if (length.most && *length.most < length.least) return false;
      for (size_t i = 0; i < arrays->first.size() && i < length.least; ++i) {
        if (!may(arrays->first[i])) return false;
      }
      if (length.least <= arrays->first.size()) return true;
      if (!arrays->others || !may(*arrays->others)) return false;
      if (!arrays->is_unique) return true;
      size_t values = 0;
      for (const Alternative &one : graph_.nodes[*arrays->others].alternatives) {
        values += std::get<Constants>(one).values.size();
      }
      return length.least <= values;
    }
    const auto *objects = std::get_if<Objects>(&alternative);
    if (objects == nullptr) return true;
    size_t required = 0, possible = 0;
    for (const Member &member : objects->members) {
      if (member.is_required && !may(member.value)) return false;
      required += member.is_required ? 1 : 0;
      possible += may(member.value) ? 1 : 0;
    }
    const bool has_others = std::any_of(objects->others.begin(), objects->others.end(),
                                        [&](const OtherMembers &others) { return may(others.value); });
    return required <= objects->size.most.value_or(required) &&
           objects->size.least <= possible + (has_others ? 1 : 0) &&
           objects->size.least <= objects->size.most.value_or(objects->size.least);
  }

  const OrderedJson &document_;
  Cases cases_;
  Graph graph_;
  std::map<std::vector<const OrderedJson *>, NodeNumber> numbers_;
  std::deque<std::pair<NodeNumber, Parts>> left_;
  size_t states_left_ = kMostStatesOfAll;
  std::vector<std::pair<NodeNumber, std::string>> unique_;
};

}  // namespace
}  // namespace schema

schema::Graph read_schema(const OrderedJson &document, SchemaUse use) {
  require(document.is_object() || document.is_boolean(), "the JSON schema is neither an object nor true or false");
  return schema::GraphMaker(document, use).made();
}

}  // namespace se
