// Reads JSON schemas, one line each, and answers each with texts that its grammar makes at random, and whether the
// grammar takes given texts. Character by character, without a model.
//
//   {"schema": …, "samples": 20, "texts": ["…"]}  →  {"samples": ["…"], "taken": [true]}  or  {"refused": "…"}
#include <llama-grammar.h>

#include <deque>
#include <iostream>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "text/schema_grammar.h"
#include "text/schema_graph.h"
#include "text/unicode.h"

namespace {

constexpr size_t kLong = 100, kMostTried = 3000;

std::mt19937 numbers(1);

size_t below(size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(numbers); }

void add_choices(const llama_grammar_stack &stack, std::vector<uint32_t> &choices) {
  const llama_grammar_element *at = stack.back();
  do {
    const bool is_range = at[1].type == LLAMA_GRETYPE_CHAR_RNG_UPPER;
    const uint32_t first = at->value, last = is_range ? at[1].value : first;
    choices.push_back(first);
    if (is_range) choices.push_back(first + static_cast<uint32_t>(below(last - first + 1)));
    at += is_range ? 2 : 1;
  } while (at->type == LLAMA_GRETYPE_CHAR_ALT);
}

// The shortest end, found breadth first.
std::string completed(llama_grammar &grammar, const std::string &text) {
  std::deque<std::pair<llama_grammar_stacks, std::string>> left = {{llama_grammar_get_stacks(&grammar), text}};
  std::set<llama_grammar_stacks> seen;
  for (size_t tried = 0; !left.empty() && tried < kMostTried; ++tried) {
    const auto [stacks, begun] = std::move(left.front());
    left.pop_front();
    std::vector<uint32_t> choices;
    for (const llama_grammar_stack &stack : stacks) {
      if (stack.empty()) return begun;
      add_choices(stack, choices);
    }
    for (const uint32_t one : choices) {
      llama_grammar_get_stacks(&grammar) = stacks;
      llama_grammar_accept(&grammar, one);
      const llama_grammar_stacks &next = llama_grammar_get_stacks(&grammar);
      if (next.empty() || !seen.insert(next).second) continue;
      std::string more = begun;
      se::unicode::append_utf8(more, one);
      left.emplace_back(next, std::move(more));
    }
  }
  return "no end of " + text;
}

std::string sampled(llama_grammar &grammar) {
  std::string text;
  for (const size_t length = below(kLong); text.size() < length;) {
    std::vector<uint32_t> choices;
    bool is_whole = false;
    for (const llama_grammar_stack &stack : llama_grammar_get_stacks(&grammar)) {
      if (stack.empty()) {
        is_whole = true;
      } else {
        add_choices(stack, choices);
      }
    }
    if (choices.empty() && !is_whole) return "dead end behind " + text;
    if (is_whole && (choices.empty() || below(4) == 0)) return text;
    const uint32_t chosen = choices[below(choices.size())];
    se::unicode::append_utf8(text, chosen);
    llama_grammar_accept(&grammar, chosen);
  }
  return completed(grammar, text);
}

bool takes(llama_grammar &grammar, const std::string &text) {
  for (const char32_t character : se::unicode::decoded(text)) {
    llama_grammar_accept(&grammar, character);
    if (llama_grammar_get_stacks(&grammar).empty()) return false;
  }
  for (const llama_grammar_stack &stack : llama_grammar_get_stacks(&grammar)) {
    if (stack.empty()) return true;
  }
  return false;
}

struct Owned {
  explicit Owned(const std::string &text)
      : grammar(llama_grammar_init_impl(nullptr, text.c_str(), "root", false, nullptr, 0, nullptr, 0)) {}
  ~Owned() {
    if (grammar != nullptr) llama_grammar_free_impl(grammar);
  }
  Owned(const Owned &) = delete;
  Owned &operator=(const Owned &) = delete;
  llama_grammar *grammar;
};

se::OrderedJson answer(const se::OrderedJson &asked) {
  se::OrderedJson made = se::OrderedJson::object();
  try {
    const auto use = asked.value("lenient", false) ? se::SchemaUse::lenient : se::SchemaUse::strict;
    const se::schema::Graph graph = se::read_schema(asked["schema"], use);
    se::GrammarRules rules;
    rules.set("root", se::rule_of_schema(rules, graph, 0));
    made["dropped"] = se::OrderedJson::array();
    for (const auto &dropped : graph.dropped) made["dropped"].push_back(dropped.path);
    const std::string text = rules.text();
    made["bytes"] = text.size();
    if (asked.contains("show")) made["grammar"] = text;
    made["samples"] = made["taken"] = se::OrderedJson::array();
    Owned owned(text);
    if (owned.grammar == nullptr) throw std::runtime_error("llama.cpp does not take the grammar");
    const llama_grammar_stacks begin = llama_grammar_get_stacks(owned.grammar);
    for (int i = 0; i < asked.value("samples", 0); ++i) {
      llama_grammar_get_stacks(owned.grammar) = begin;
      made["samples"].push_back(sampled(*owned.grammar));
    }
    for (const se::OrderedJson &one : asked.value("texts", se::OrderedJson::array())) {
      llama_grammar_get_stacks(owned.grammar) = begin;
      made["taken"].push_back(takes(*owned.grammar, one.get<std::string>()));
    }
  } catch (const se::Error &error) {
    made["refused"] = error.message;
    made["hint"] = error.hint;
  } catch (const std::exception &error) {
    made["failed"] = error.what();
  }
  return made;
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << answer(se::OrderedJson::parse(line)).dump() << std::endl;
  }
}
