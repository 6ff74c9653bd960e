// One rule for each node; texts, multiples and objects are automata, with a rule for each state.
#include "text/schema_grammar.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <vector>

#include "base/status.h"

namespace se {
namespace {

using namespace schema;

// llama.cpp's parser takes at most 2000 of a repetition, and more as any number.
constexpr uint64_t kMostAtOnce = 1500;
constexpr uint64_t kBlock = 250;
constexpr size_t kMostRules = 50'000;

std::string quoted(const std::string &text) {
  std::string made = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') made += '\\';
    if (c == '\n' || c == '\r') {
      made += c == '\n' ? "\\n" : "\\r";
    } else {
      made += c;
    }
  }
  return made + "\"";
}

std::string braces(uint64_t least, std::optional<uint64_t> most) {
  if (least == 0 && !most) return "*";
  if (least == 1 && !most) return "+";
  if (most && *most == least) return "{" + std::to_string(least) + "}";
  return "{" + std::to_string(least) + "," + (most ? std::to_string(*most) : "") + "}";
}

// In a set of GBNF.
std::string in_set(char32_t code) {
  char text[16];
  const bool is_plain = (code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z');
  if (is_plain) return {static_cast<char>(code)};
  std::snprintf(text, sizeof(text),
                code < 0x100     ? "\\x%02X"
                : code < 0x10000 ? "\\u%04X"
                                 : "\\U%08X",
                static_cast<unsigned>(code));
  return text;
}

// One character of these as JSON writes it inside of a string, always in the shortest way.
std::vector<std::string> json_characters(const CharacterRanges &ranges) {
  static const std::map<char32_t, std::string> short_escapes = {{'"', "\\\\\\\""}, {'\\', "\\\\\\\\"}, {'\b', "\\\\b"},
                                                                {'\f', "\\\\f"},   {'\n', "\\\\n"},    {'\r', "\\\\r"},
                                                                {'\t', "\\\\t"}};
  std::vector<std::string> all;
  std::string set;
  const auto add = [&](char32_t first, char32_t last) {
    if (first > last) return;
    set += first == last ? in_set(first) : in_set(first) + "-" + in_set(last);
  };
  for (const auto &[first, last] : ranges) {
    char32_t begin = first;
    for (char32_t code = first; code <= std::min<char32_t>(last, '\\'); ++code) {
      if (code >= 0x20 && code != '"' && code != '\\') continue;
      if (begin < code) add(begin, code - 1);
      begin = code + 1;
      const auto found = short_escapes.find(code);
      char text[16];
      std::snprintf(text, sizeof(text), "\\\\u%04x", static_cast<unsigned>(code));
      all.push_back("\"" + (found == short_escapes.end() ? std::string(text) : found->second) + "\"");
    }
    add(begin, last);
  }
  if (!set.empty()) all.insert(all.begin(), "[" + set + "]");
  return all;
}

class GrammarWriter {
 public:
  GrammarWriter(GrammarRules &rules, const Graph &graph) : rules_(rules), graph_(graph) {}

  std::string rule(NodeNumber number) {
    const std::string first = name_of(number);
    finish();
    return first;
  }

  // Of one of a node's alternatives.
  std::string rule(const Alternative &one) {
    const std::string first = rules_.fresh();
    rules_.set(first, alternative(one).value_or(""));
    finish();
    return first;
  }

 private:
  void finish() {
    while (!left_.empty()) {
      const NodeNumber next = left_.back();
      left_.pop_back();
      std::string text;
      for (const Alternative &one : graph_.nodes[next].alternatives) {
        const std::optional<std::string> part = alternative(one);
        if (part) text += (text.empty() ? "" : " | ") + *part;
      }
      rules_.set(names_.at(next), text);
    }
  }

  std::optional<std::string> alternative(const Alternative &one) {
    return std::visit([&](const auto &kind) { return text_of(kind); }, one);
  }

  // Its rule is written later, so that a schema may contain itself.
  std::string name_of(NodeNumber number) {
    const auto [found, is_new] = names_.try_emplace(number);
    if (is_new) {
      found->second = rules_.fresh();
      left_.push_back(number);
    }
    return found->second;
  }

  bool is_possible(NodeNumber number) const { return graph_.nodes[number].is_possible; }

  std::string space() { return rules_.shared("space"); }

  std::optional<std::string> text_of(const Anything &) { return rules_.shared("schema-value"); }

  std::optional<std::string> text_of(const Constants &constants) {
    std::string text;
    for (const OrderedJson &value : constants.values) text += (text.empty() ? "" : " | ") + literal_of(value);
    return text;
  }

  std::string literal_of(const OrderedJson &value) {
    if (!value.is_structured() || value.empty()) return quoted(value.dump());
    std::string text;
    for (const auto &[name, part] : value.items()) {
      if (!text.empty()) text += " \",\" " + space() + " ";
      if (value.is_object()) text += quoted(OrderedJson(name).dump() + ":") + " " + space() + " ";
      text += literal_of(part);
    }
    return (value.is_array() ? "\"[\" " : "\"{\" ") + space() + " " + text + " " + space() +
           (value.is_array() ? " \"]\"" : " \"}\"");
  }

  std::optional<std::string> text_of(const Numbers &numbers) {
    if (numbers.divisor != 0) return multiples(numbers);
    if (!numbers.ranges) return rules_.shared(numbers.is_integer ? "schema-integer" : "schema-number");
    std::string text;
    for (const NumberRange &range : *numbers.ranges) {
      const std::optional<std::string> part = range.grammar();
      if (part) text += (text.empty() ? "" : " | ") + *part;
    }
    return rules_.add(text);
  }

  // One rule for each rest of a division by the digits so far.
  std::string multiples(const Numbers &numbers) {
    std::vector<std::string> names;
    for (uint64_t rest = 0; rest < numbers.divisor; ++rest) names.push_back(rules_.fresh());
    const auto next = [&](uint64_t rest, int digit) {
      return "\"" + std::to_string(digit) + "\" " + names[(rest * 10 + static_cast<uint64_t>(digit)) % numbers.divisor];
    };
    for (uint64_t rest = 0; rest < numbers.divisor; ++rest) {
      std::string text = rest == 0 ? "\"\"" : "";
      for (int digit = 0; digit <= 9; ++digit) text += (text.empty() ? "" : " | ") + next(rest, digit);
      rules_.set(names[rest], text);
    }
    std::string above;
    for (int digit = 1; digit <= 9; ++digit) above += (above.empty() ? "" : " | ") + next(0, digit);
    above = rules_.add(above);
    std::string text;
    if (numbers.has_negative) text = "\"-\" " + above;
    if (numbers.has_zero) text += (text.empty() ? "" : " | ") + std::string("\"0\"");
    if (numbers.has_positive) text += (text.empty() ? "" : " | ") + above;
    return text;
  }

  std::optional<std::string> text_of(const Strings &strings) {
    if (strings.texts) return "\"\\\"\" " + states(*strings.texts);
    if (strings.length.least == 0 && !strings.length.most) return rules_.shared("schema-string");
    return "\"\\\"\" " + repeated(rules_.shared("schema-char"), strings.length) + " \"\\\"\"";
  }

  // The rule of a string behind its first quotation mark.
  std::string states(const Automaton &automaton) {
    std::vector<std::string> names;
    for (size_t i = 0; i < automaton.states.size(); ++i) names.push_back(rules_.fresh());
    for (size_t i = 0; i < automaton.states.size(); ++i) {
      std::string text = automaton.states[i].accepts ? "\"\\\"\"" : "";
      for (const auto &[ranges, target] : automaton.states[i].next) {
        for (const std::string &character : json_characters(ranges)) {
          text += (text.empty() ? "" : " | ") + character + " " + names[target];
        }
      }
      rules_.set(names[i], text);
    }
    return names.front();
  }

  std::string repeated(const std::string &rule, const Count &count) {
    if (count.most == uint64_t{0}) return "\"\"";
    if (count.most.value_or(count.least) <= kMostAtOnce) return rule + braces(count.least, count.most);
    const std::string block = rules_.add(rule + braces(kBlock, kBlock));
    std::string text;
    const auto add = [&](const std::string &part) { text += (text.empty() ? "" : " ") + part; };
    if (count.least >= kBlock) add(block + braces(count.least / kBlock, count.least / kBlock));
    if (count.least % kBlock > 0) add(rule + braces(count.least % kBlock, count.least % kBlock));
    if (!count.most) {
      add(rule + "*");
    } else if (const uint64_t more = *count.most - count.least; more > 0) {
      const uint64_t whole = more / kBlock;
      const std::string last = rule + braces(0, std::max<uint64_t>(more % kBlock, 1));
      const std::string full = whole == 0 ? "" : block + braces(whole, whole) + (more % kBlock == 0 ? "" : " " + last);
      const std::string fewer = whole == 0 ? last : block + braces(0, whole - 1) + " " + rule + braces(0, kBlock - 1);
      add(rules_.add(whole == 0 ? fewer : full + " | " + fewer));
    }
    return text;
  }

  std::optional<std::string> text_of(const Arrays &arrays) {
    if (arrays.is_unique) return unique(arrays);
    Count length = arrays.length;
    size_t first = arrays.first.size();
    for (size_t i = 0; i < first; ++i) {
      if (!is_possible(arrays.first[i])) first = i;
    }
    const bool has_others = first == arrays.first.size() && arrays.others && is_possible(*arrays.others);
    if (!has_others) length.most = std::min<uint64_t>(length.most.value_or(first), first);
    if (length.most && *length.most < length.least) return std::nullopt;
    if (length.most && *length.most < first) first = *length.most;
    // From the last to the first: what may follow.
    std::string after;
    if (has_others && (!length.most || *length.most > first)) {
      const std::string item = name_of(*arrays.others);
      Count more{length.least > first ? length.least - first : 0, std::nullopt};
      if (length.most) more.most = *length.most - first;
      if (first > 0) {
        after = repeated(rules_.add("\",\" " + space() + " " + item), more);
      } else {
        const bool may_be_empty = more.least == 0;
        more.least -= more.least > 0 ? 1 : 0;
        if (more.most) --*more.most;
        const bool is_one = more.most == uint64_t{0};
        after = item + (is_one ? "" : " " + repeated(rules_.add("\",\" " + space() + " " + item), more));
        if (may_be_empty) after = "(" + after + ")?";
      }
    }
    for (size_t i = first; i-- > 0;) {
      std::string text = i > 0 ? "\",\" " + space() + " " : "";
      text += name_of(arrays.first[i]) + (after.empty() ? "" : " " + after);
      const std::string name = rules_.add(text);
      after = i >= length.least ? name + "?" : name;
    }
    return "\"[\" " + space() + (after.empty() ? "" : " " + after) + " " + space() + " \"]\"";
  }

  // One rule for each set of values that are used.
  std::optional<std::string> unique(const Arrays &arrays) {
    std::vector<std::string> values;
    for (const Alternative &one : graph_.nodes[*arrays.others].alternatives) {
      for (const OrderedJson &value : std::get<Constants>(one).values) {
        if (std::find(values.begin(), values.end(), literal_of(value)) == values.end()) {
          values.push_back(literal_of(value));
        }
      }
    }
    const uint64_t most = std::min<uint64_t>(arrays.length.most.value_or(values.size()), values.size());
    std::vector<std::string> after(size_t{1} << values.size());
    for (size_t used = after.size(); used-- > 0;) {
      const auto count = static_cast<uint64_t>(__builtin_popcountll(used));
      if (count > most) continue;
      std::string text = count >= arrays.length.least ? "\"\"" : "";
      for (size_t i = 0; i < values.size() && count < most; ++i) {
        if ((used >> i & 1) != 0) continue;
        const std::string &rest = after[used | size_t{1} << i];
        if (rest.empty()) continue;
        text += (text.empty() ? "" : " | ") + (count > 0 ? "\",\" " + space() + " " : "") + values[i] + " " + rest;
      }
      if (!text.empty()) after[used] = rules_.add(text);
    }
    if (after[0].empty()) return std::nullopt;
    return "\"[\" " + space() + " " + after[0] + " " + space() + " \"]\"";
  }

  // Members in their order: what may follow once the first `at` were passed and `count` written.
  struct ObjectRules {
    const Objects &objects;
    std::vector<std::string> members;  // empty: cannot be written
    std::string others;
    uint64_t most_counted;
    std::map<std::pair<size_t, uint64_t>, std::optional<std::string>> known;
  };

  std::optional<std::string> text_of(const Objects &objects) {
    ObjectRules made{objects, {}, {}, 1, {}};
    for (const Member &member : objects.members) {
      const std::string name = quoted(OrderedJson(member.name).dump());
      made.members.push_back(is_possible(member.value)
                                 ? rules_.add(name + " " + space() + " \":\" " + space() + " " + name_of(member.value))
                                 : "");
    }
    for (const OtherMembers &others : objects.others) {
      if (!is_possible(others.value)) continue;
      const std::string name = others.names ? "\"\\\"\" " + states(*others.names) : rules_.shared("schema-string");
      const std::string text = name + " " + space() + " \":\" " + space() + " " + name_of(others.value);
      made.others += (made.others.empty() ? "" : " | ") + rules_.add(text);
    }
    if (!made.others.empty()) made.others = rules_.add(made.others);
    const Count &size = objects.size;
    made.most_counted = std::max<uint64_t>({1, size.least, size.most.value_or(0)});
    const std::optional<std::string> all = members_from(made);
    if (!all) return std::nullopt;
    return "\"{\" " + space() + " " + *all + " " + space() + " \"}\"";
  }

  // From the last member to the first, so that each rule's parts are there.
  std::optional<std::string> members_from(ObjectRules &made) {
    const Count &size = made.objects.size;
    const size_t members = made.members.size();
    require(made.most_counted * (members + 1) <= kMostRules, "the JSON schema is too large for a grammar");
    const auto may_hold = [&](uint64_t count) { return !size.most || count <= *size.most; };
    for (uint64_t count = 0; count <= std::min<uint64_t>(made.most_counted, members); ++count) {
      made.known[{members, count}] = may_hold(count) ? other_members(made, count) : std::nullopt;
    }
    for (size_t at = members; at-- > 0;) {
      for (uint64_t count = 0; count <= std::min<uint64_t>(made.most_counted, at); ++count) {
        std::string text;
        const uint64_t after = std::min(count + 1, made.most_counted);
        const auto &with = made.known[{at + 1, after}];
        const bool is_room = !size.most || count < *size.most;
        if (!made.members[at].empty() && with && is_room) {
          text = (count > 0 ? "\",\" " + space() + " " : "") + made.members[at] + " " + *with;
        }
        const auto &without = made.known[{at + 1, count}];
        if (!made.objects.members[at].is_required && without) text += (text.empty() ? "" : " | ") + *without;
        made.known[{at, count}] = text.empty() ? std::nullopt : std::optional(rules_.add(text));
      }
    }
    return made.known[{0, 0}];
  }

  std::optional<std::string> other_members(const ObjectRules &made, uint64_t count) {
    const Count &size = made.objects.size;
    // The count stops where it makes no difference any more.
    const uint64_t missing = size.least > count ? size.least - count : 0;
    std::optional<uint64_t> room;
    if (size.most) room = *size.most - count;
    if (made.others.empty() || room == uint64_t{0}) {
      return missing == 0 ? std::optional<std::string>("\"\"") : std::nullopt;
    }
    // Two of them may have the same name.
    if (missing > 1) return std::nullopt;
    const std::string more = rules_.add("\",\" " + space() + " " + made.others);
    if (count > 0) return rules_.add(repeated(more, {missing, room}));
    if (room) --*room;
    const std::string list = made.others + (room == uint64_t{0} ? "" : " " + repeated(more, {0, room}));
    return rules_.add(missing > 0 ? list : "(" + list + ")?");
  }

  GrammarRules &rules_;
  const Graph &graph_;
  std::map<NodeNumber, std::string> names_;
  std::vector<NodeNumber> left_;
};

}  // namespace

std::string rule_of_schema(GrammarRules &rules, const Graph &graph, NodeNumber node) {
  return GrammarWriter(rules, graph).rule(node);
}

std::string rule_of_alternative(GrammarRules &rules, const Graph &graph, const Alternative &one) {
  return GrammarWriter(rules, graph).rule(one);
}

std::string grammar_of_schema(const std::string &json_schema) {
  parse_json(json_schema, "the JSON schema", SE_INVALID_ARGUMENT);
  const Graph graph = read_schema(OrderedJson::parse(json_schema), SchemaUse::strict);
  GrammarRules rules;
  rules.set("root", rule_of_schema(rules, graph, 0));
  return rules.text();
}

}  // namespace se
