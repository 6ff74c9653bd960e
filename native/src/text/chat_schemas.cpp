// The schemas of llama.cpp's chat code, in place of its own reading and its own grammars of them, which are inexact.
//
// Its functions of the same names are weak (engines/jinja_steps.h).
#include <json-schema-to-grammar.h>
#include <json-schema.h>

#include <map>
#include <memory>
#include <regex>
#include <utility>

#include "engines/template_limits.h"
#include "text/input_marks.h"
#include "text/schema_grammar.h"
#include "text/schema_graph.h"

namespace se {
namespace {

using schema::Alternative;
using schema::Graph;
using schema::NodeNumber;

// The chat code goes through its tree by recursion, and schemas refer to one another a thousandfold.
constexpr int kMostDepth = 32;

// What a node of llama.cpp's tree stands for: a node of the graph, or one of its alternatives.
struct Held {
  virtual ~Held() = default;
  std::shared_ptr<const Graph> graph;
  NodeNumber node = 0;
  const Alternative *alternative = nullptr;
};

template <typename Kind>
struct Holding : Kind, Held {
  using Kind::Kind;
};

// The tree from which the chat code takes the kinds of values and the names of members.
class SchemaTree {
 public:
  explicit SchemaTree(std::shared_ptr<const Graph> graph) : graph_(std::move(graph)) {}

  common_chat_schema_ptr node(NodeNumber number) {
    if (const auto known = made_.find(number); known != made_.end()) {
      auto again = held<common_chat_schema_ref>(number, nullptr, "#");
      again->target = known->second;
      return again;
    }
    // The grammar knows more: it is made from the graph.
    if (depth_ >= kMostDepth) return held<common_chat_schema_any>(number, nullptr);
    ++depth_;
    auto made = of_alternatives(number);
    --depth_;
    return made;
  }

 private:
  common_chat_schema_ptr of_alternatives(NodeNumber number) {
    std::vector<const Alternative *> alternatives;
    for (const Alternative &one : graph_->nodes[number].alternatives) alternatives.push_back(&one);
    if (alternatives.size() == 1) return alternative(number, *alternatives.front(), nullptr);
    auto made = held<common_chat_schema_any_of>(number, nullptr);
    made_[number] = made.get();
    for (const Alternative *one : alternatives) made->children.push_back(alternative(number, *one, one));
    return made;
  }

  template <typename Kind, typename... Arguments>
  std::unique_ptr<Holding<Kind>> held(NodeNumber node, const Alternative *alternative, Arguments &&...arguments) {
    auto made = std::make_unique<Holding<Kind>>(std::forward<Arguments>(arguments)...);
    made->graph = graph_;
    made->node = node;
    made->alternative = alternative;
    if (alternative == nullptr) made_.try_emplace(node, made.get());
    return made;
  }

  // `part`: that it stands for the alternative, not for the node.
  common_chat_schema_ptr alternative(NodeNumber number, const Alternative &one, const Alternative *part) {
    // Formats that write arguments between tags have texts without quotation marks, and hold them to nothing. What is
    // not just any text is no string for them: it is written as JSON there, which they read as well.
    if (std::holds_alternative<schema::Constants>(one)) return held<common_chat_schema_integer>(number, part);
    if (const auto *numbers = std::get_if<schema::Numbers>(&one)) {
      if (numbers->is_integer) return held<common_chat_schema_integer>(number, part);
      return held<common_chat_schema_number>(number, part);
    }
    if (const auto *strings = std::get_if<schema::Strings>(&one)) {
      const bool is_any = !strings->texts && strings->length.least == 0 && !strings->length.most;
      if (!is_any) return held<common_chat_schema_integer>(number, part);
      return held<common_chat_schema_string>(number, part);
    }
    if (const auto *arrays = std::get_if<schema::Arrays>(&one)) {
      if (!arrays->first.empty() || !arrays->others) {
        auto made = held<common_chat_schema_tuple>(number, part);
        for (const NodeNumber first : arrays->first) made->items.push_back(node(first));
        return made;
      }
      auto made = held<common_chat_schema_array>(number, part);
      made->items = node(*arrays->others);
      return made;
    }
    if (const auto *objects = std::get_if<schema::Objects>(&one)) {
      auto made = held<common_chat_schema_object>(number, part);
      for (const schema::Member &member : objects->members) {
        if (!graph_->nodes[member.value].is_possible) continue;
        made->properties.push_back({member.name, node(member.value), member.is_required});
      }
      for (const schema::OtherMembers &others : objects->others) {
        if (graph_->nodes[others.value].is_possible) made->additional_properties = node(others.value);
      }
      return made;
    }
    return held<common_chat_schema_any>(number, part);
  }

  std::shared_ptr<const Graph> graph_;
  std::map<NodeNumber, const common_chat_schema *> made_;
  int depth_ = 0;
};

// Rules by the names that the chat code gives them, and ours.
class NamedRules {
 public:
  std::string add(const std::string &name, const std::string &text) {
    TemplateLimits::check_interrupted();
    static const std::regex invalid("[^a-zA-Z0-9-]+");
    const std::string plain = std::regex_replace(name, invalid, "-");
    std::string free = plain;
    for (int i = 0; named_.contains(free) && named_[free] != text; ++i) free = plain + std::to_string(i);
    named_[free] = text;
    rules_.set(free, text);
    return free;
  }

  std::string add_schema(const common_chat_schema &schema) {
    const auto &held = dynamic_cast<const Held &>(schema);
    const auto key = std::pair(held.graph.get(), std::pair(held.node, held.alternative));
    const auto [found, is_new] = known_.try_emplace(key);
    if (is_new) {
      TemplateLimits::check_interrupted();
      kept_.push_back(held.graph);
      found->second = held.alternative == nullptr ? rule_of_schema(rules_, *held.graph, held.node)
                                                  : rule_of_alternative(rules_, *held.graph, *held.alternative);
    }
    return found->second;
  }

  GrammarRules &rules() { return rules_; }

 private:
  GrammarRules rules_;
  std::map<std::string, std::string> named_;
  std::map<std::pair<const Graph *, std::pair<NodeNumber, const Alternative *>>, std::string> known_;
  std::vector<std::shared_ptr<const Graph>> kept_;
};

}  // namespace
}  // namespace se

// Tools that are strict were read strictly when the request was: here nothing is dropped of theirs.
common_chat_schema_document common_chat_schema_from_json(const common_json &json) {
  se::TemplateLimits::check_interrupted();
  // Marks are for the prompt; patterns and names are compared without.
  const se::OrderedJson schema = se::OrderedJson::parse(se::InputMarks::without(json.dump()));
  auto graph = std::make_shared<const se::schema::Graph>(se::read_schema(schema, se::SchemaUse::lenient));
  common_chat_schema_document document;
  document.root = se::SchemaTree(std::move(graph)).node(0);
  return document;
}

std::string build_grammar(const std::function<void(const common_grammar_builder &)> &add,
                          const common_grammar_options &) {
  se::NamedRules named;
  named.rules().shared("space");
  const common_grammar_builder builder{
      [&](const std::string &name, const std::string &text) { return named.add(name, text); },
      [&](const std::string &, const common_chat_schema &schema) { return named.add_schema(schema); }};
  add(builder);
  return named.rules().text();
}
