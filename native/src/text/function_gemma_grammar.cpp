// Properties come in the order of their names, because the model's template sorts them so wherever it writes some.
#include "text/function_gemma_grammar.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "text/string_formats.h"

namespace se {
namespace {

constexpr std::string_view kEscape = "<escape>";
// Rules that all schemas share.
constexpr char kAnyValueRule[] = "function-gemma-value";
constexpr char kTextRule[] = "function-gemma-text";

std::string value_literal(const OrderedJson &value) {
  if (value.is_string()) {
    const auto text = value.get<std::string>();
    require(text.find(kEscape) == std::string::npos, "a value of a tool's schema contains `<escape>`");
    return gbnf_format_literal(std::string(kEscape) + text + std::string(kEscape));
  }
  if (value.is_structured()) {
    throw Error(SE_UNSUPPORTED, "a tool's schema has the constant " + ticked(value.dump()),
                "this model's calls have constants that are strings, numbers, true, false or null");
  }
  return gbnf_format_literal(value.dump());
}

void check_schema_keywords(const OrderedJson &schema) {
  // Without them the arguments could not be held to the schema.
  for (const char *keyword : {"$ref", "allOf", "not", "if", "pattern", "patternProperties", "prefixItems"}) {
    if (schema.contains(keyword)) {
      throw Error(SE_UNSUPPORTED, "a tool's schema has " + ticked(keyword) + ", which this model's calls cannot follow",
                  "describe the parameters without it");
    }
  }
}

uint64_t schema_count(const OrderedJson &schema, const char *key, uint64_t otherwise) {
  const auto found = schema.find(key);
  if (found == schema.end()) return otherwise;
  require(found->is_number_unsigned() && *found <= 100'000, "a tool's schema has an unusable " + ticked(key));
  return found->get<uint64_t>();
}

std::string lower_name(std::string text) {
  for (char &c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

struct GrammarMember {
  std::string name;
  std::string rule;  // of the name and the value
  bool is_required;
};

// Whether `keyword` of this schema limits a value, and its grammar does not.
bool is_left_out(const std::string &keyword, const OrderedJson &limit, const OrderedJson &schema) {
  if (keyword == "uniqueItems") return limit == true;
  if (keyword == "minProperties") return limit != 0;
  if (keyword == "maxProperties") return true;
  if (keyword == "format") return limit.is_string() && pattern_of_format(limit.get<std::string>()).has_value();
  if (keyword != "required" || !limit.is_array()) return false;
  const OrderedJson properties = schema.value("properties", OrderedJson::object());
  return std::any_of(limit.begin(), limit.end(), [&](const OrderedJson &name) {
    return name.is_string() && !properties.contains(name.get<std::string>());
  });
}

void append_paths(std::vector<std::string> &paths, const OrderedJson &schema, const std::string &path) {
  const auto more = not_held_to(schema, path);
  paths.insert(paths.end(), more.begin(), more.end());
}

}  // namespace

std::vector<std::string> not_held_to(const OrderedJson &schema, const std::string &path) {
  std::vector<std::string> paths;
  if (!schema.is_object() || schema.contains("const") || schema.contains("enum")) return paths;
  for (const auto &[keyword, limit] : schema.items()) {
    const std::string below = path + "/" + keyword;
    if (is_left_out(keyword, limit, schema)) paths.push_back(below);
    if (keyword == "items") append_paths(paths, limit, below);
    if (keyword == "properties" && limit.is_object()) {
      for (const auto &[name, property] : limit.items()) append_paths(paths, property, below + "/" + name);
    }
    if ((keyword == "anyOf" || keyword == "oneOf") && limit.is_array()) {
      for (size_t i = 0; i < limit.size(); ++i) append_paths(paths, limit[i], below + "/" + std::to_string(i));
    }
  }
  return paths;
}

std::string FunctionGemmaGrammar::added(const std::string &text) {
  return builder_.add_rule("function-gemma-" + std::to_string(count_++), text);
}

// Any text in which the closing mark does not occur: one rule for each beginning of it that was seen last.
std::string FunctionGemmaGrammar::text() {
  for (size_t seen = 0; seen < kEscape.size(); ++seen) {
    const std::string name = seen == 0 ? kTextRule : kTextRule + std::string("-") + std::to_string(seen);
    const std::string next(1, kEscape[seen]);
    std::string rule = "| ";
    if (seen == 0) {
      rule += std::string("[^<] ") + kTextRule + " | \"<\" " + kTextRule + "-1";
    } else {
      // The mark's first character begins it anew; it has no other repetition.
      rule += std::string("[^<") + next + "] " + kTextRule + " | \"<\" " + kTextRule + "-1";
      if (seen + 1 < kEscape.size()) rule += " | \"" + next + "\" " + kTextRule + "-" + std::to_string(seen + 1);
    }
    builder_.add_rule(name, rule);
  }
  return kTextRule;
}

std::string FunctionGemmaGrammar::any_object() {
  const std::string member = std::string("[^:},{<]+ \":\" ") + kAnyValueRule;
  return "\"{\" (" + member + " (\",\" " + member + ")*)? \"}\"";
}

std::string FunctionGemmaGrammar::any_value() {
  const std::string value = kAnyValueRule;
  const std::string number = R"("-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,3})?)";
  return builder_.add_rule(kAnyValueRule, "\"<escape>\" " + text() + " \"<escape>\" | " + number +
                                              " | \"true\" | \"false\" | \"null\" | " + any_object() + " | \"[\" (" +
                                              value + " (\",\" " + value + ")*)? \"]\"");
}

std::string FunctionGemmaGrammar::json_scalar(const OrderedJson &schema) {
  const common_chat_schema_document document = common_chat_schema_from_json(common_json::parse(schema.dump()));
  // The rule of a JSON value may end in white space, which this notation has none of, but reads.
  return builder_.add_schema("function-gemma-" + std::to_string(count_++), *document.root);
}

std::string FunctionGemmaGrammar::string_of(const OrderedJson &schema) {
  const uint64_t least = schema_count(schema, "minLength", 0), most = schema_count(schema, "maxLength", UINT64_MAX);
  if (least == 0 && most == UINT64_MAX) return added("\"<escape>\" " + text() + " \"<escape>\"");
  // Counted text has none of the mark's first characters, or it would have to be counted in each rule.
  const std::string times = std::to_string(least) + "," + (most == UINT64_MAX ? "" : std::to_string(most));
  return added("\"<escape>\" [^<]{" + times + "} \"<escape>\"");
}

std::string FunctionGemmaGrammar::array_of(const OrderedJson &schema) {
  const std::string item = value(schema.value("items", OrderedJson(true)));
  const uint64_t least = schema_count(schema, "minItems", 0), most = schema_count(schema, "maxItems", UINT64_MAX);
  if (most == 0) return added("\"[]\"");
  const uint64_t more = least == 0 ? 0 : least - 1;
  const std::string times = std::to_string(more) + "," + (most == UINT64_MAX ? "" : std::to_string(most - 1));
  const std::string items = item + " (\",\" " + item + "){" + times + "}";
  return added("\"[\" " + (least == 0 ? "(" + items + ")?" : items) + " \"]\"");
}

std::string FunctionGemmaGrammar::object_of(const OrderedJson &schema) {
  const OrderedJson properties = schema.value("properties", OrderedJson::object());
  require(properties.is_object(), "the `properties` of a tool's schema are not an object");
  if (properties.empty()) {
    const bool is_closed = schema.contains("additionalProperties") && schema["additionalProperties"] == false;
    if (is_closed || schema.contains("properties")) return added("\"{}\"");
    any_value();
    return added(any_object());
  }
  std::set<std::string> required;
  for (const OrderedJson &name : schema.value("required", OrderedJson::array())) {
    if (name.is_string()) required.insert(name.get<std::string>());
  }
  std::vector<GrammarMember> members;
  for (const auto &[name, property] : properties.items()) {
    if (name.empty() || name.find_first_of(":},{<") != std::string::npos) {
      throw Error(SE_UNSUPPORTED, "a tool has the parameter " + ticked(name), "this model's calls cannot write :},{<");
    }
    const std::string rule = added(gbnf_format_literal(name + ":") + " " + value(property));
    members.push_back({name, rule, required.contains(name)});
  }
  std::stable_sort(members.begin(), members.end(), [](const GrammarMember &a, const GrammarMember &b) {
    return lower_name(a.name) < lower_name(b.name);
  });
  // From the last to the first: what may follow a member that was written, and what may follow none.
  std::string after, first;
  for (size_t i = members.size(); i-- > 0;) {
    const GrammarMember &member = members[i];
    const std::string begun = member.rule + (after.empty() ? "" : " " + after);
    first = member.is_required ? added(begun) : added(begun + " | " + (first.empty() ? "\"\"" : first));
    const std::string with_comma = "\",\" " + begun;
    const std::string without = after.empty() ? "\"\"" : after;
    after = member.is_required ? added(with_comma) : added(with_comma + " | " + without);
  }
  return added("\"{\" " + first + " \"}\"");
}

std::string FunctionGemmaGrammar::of_type(const std::string &type, const OrderedJson &schema) {
  if (type == "string") return string_of(schema);
  if (type == "array") return array_of(schema);
  if (type == "object") return object_of(schema);
  OrderedJson scalar = schema;
  scalar["type"] = type;
  return json_scalar(scalar);
}

std::string FunctionGemmaGrammar::one_of(const OrderedJson &schemas) {
  std::string rules;
  for (const OrderedJson &schema : schemas) rules += (rules.empty() ? "" : " | ") + value(schema);
  require(!rules.empty(), "a tool's schema has an empty list of alternatives");
  return added(rules);
}

std::string FunctionGemmaGrammar::value(const OrderedJson &schema) {
  require(schema.is_boolean() || schema.is_object(), "a tool's schema is not a JSON schema: " + ticked(schema.dump()));
  if (schema == false) throw Error(SE_INVALID_ARGUMENT, "a tool's schema allows no value");
  if (schema.is_boolean() || schema.empty()) return any_value();
  check_schema_keywords(schema);
  if (schema.contains("const")) return added(value_literal(schema["const"]));
  if (schema.contains("enum") && schema["enum"].is_array()) {
    std::string literals;
    for (const OrderedJson &one : schema["enum"]) literals += (literals.empty() ? "" : " | ") + value_literal(one);
    require(!literals.empty(), "a tool's schema has an empty `enum`");
    return added(literals);
  }
  for (const char *alternatives : {"anyOf", "oneOf"}) {
    if (schema.contains(alternatives) && schema[alternatives].is_array()) return one_of(schema[alternatives]);
  }
  const OrderedJson type = schema.value("type", OrderedJson());
  if (type.is_string()) return of_type(type.get<std::string>(), schema);
  if (type.is_array()) {
    std::string rules;
    for (const OrderedJson &one : type) {
      require(one.is_string(), "a tool's schema has the unknown type " + ticked(one.dump()));
      rules += (rules.empty() ? "" : " | ") + of_type(one.get<std::string>(), schema);
    }
    require(!rules.empty(), "a tool's schema has an empty list of types");
    return added(rules);
  }
  if (schema.contains("properties")) return object_of(schema);
  if (schema.contains("items")) return array_of(schema);
  return any_value();
}

}  // namespace se
