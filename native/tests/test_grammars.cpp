// Grammars that never end, and the answers that two grammars are read by.
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "check.h"
#include "text/call_or_text_parser.h"
#include "text/grammar_match.h"
#include "text/grammar_position.h"

namespace {

// Rules r0 to r`count`, of which each is made of the next one, and the last one.
std::string chain(size_t count, const std::function<std::string(const std::string &next)> &rule,
                  const std::string &last) {
  std::string text = "root ::= r0\n";
  for (size_t i = 0; i < count; ++i) {
    text += "r" + std::to_string(i) + " ::= " + rule("r" + std::to_string(i + 1)) + "\n";
  }
  return text + "r" + std::to_string(count) + " ::= " + last + "\n";
}

std::string times(const std::string &text, size_t count) {
  std::string made;
  for (size_t i = 0; i < count; ++i) made += text;
  return made;
}

// What is thrown.
se::Error failure(const std::string &grammar, const se::Interrupt &interrupt, const std::string &answer = "") {
  try {
    se::GrammarMatch(grammar, interrupt).add(answer);
  } catch (const se::Error &error) {
    return error;
  }
  return {SE_OK, ""};
}

void check_refused(const std::string &grammar, const char *words, const std::string &answer = "") {
  const se::Error error = failure(grammar, se::Interrupt(), answer);
  if (error.status == SE_INVALID_ARGUMENT && error.message.find(words) != std::string::npos) return;
  std::fprintf(stderr, "%.60s: %d `%s` in place of `%s`\n", grammar.c_str(), error.status, error.message.c_str(),
               words);
  CHECK(false);
}

void hostile_grammars_are_refused() {
  // Each rule may be empty: 2^40 ways to begin, and 2^40 paths to look for left recursion along.
  check_refused(chain(40, [](const auto &next) { return "| " + next + " " + next; }, "\"a\""), "too many ways");
  check_refused(
      chain(40, [](const auto &next) { return next + " " + next + " | \"b\""; }, "\"a\" | "), "too many ways");
  // It grows at each step, and llama.cpp does not take it for left recursion.
  check_refused("root ::= root0 \nroot0 ::= e root0 \"y\" | \"x\"\ne ::= f\nf ::= | \"a\"", "too many ways");
  check_refused("root ::= root \"a\" | \"b\"", "not supported");
  check_refused("root ::= e root \"a\" | \"b\"\ne ::= | \"c\"", "not supported");
  check_refused("root ::= \"" + times("a", 1 << 20) + "\"{2000}", "repeats too much");
  check_refused("root ::= " + times("a{0,2000} ", 1 << 10) + "\na ::= \"a\"", "repeats too much");
  check_refused("root ::= " + times("(", 300) + "\"a\"" + times(")", 300), "nested more than");
  // The parser ends comments at either kind of newline, and skips a quotation mark behind half a character.
  check_refused("root ::= (\"a\" # b\r\"c\"{5,3})", "at least `5`");
  check_refused("root ::= \"a\"{5 # b\r,3}", "at least `5`");
  check_refused("root ::= # b\r" + times("(", 300) + "\"a\"" + times(")", 300), "nested more than");
  check_refused("root ::= \".\xD6\"[\" (\"b\"){5,3} | \"]\"", "not valid UTF-8");
  check_refused("root ::= \"\xD6\"[\"" + times("(", 300) + "\"a\"" + times(")", 300), "not valid UTF-8");
  check_refused("root ::= a", "no rule `a`");
  check_refused("a ::= \"a\"", "no rule `root`");
  check_refused("root ::= [a", "cannot be read");
}

// Whether a token of so many spaces may come first.
bool may_begin_with_spaces(const std::string &grammar, size_t count) {
  const se::Interrupt interrupt;
  const se::GrammarPosition position(std::make_shared<se::ParsedGrammar>(grammar, nullptr, interrupt), interrupt);
  const std::u32string spaces(count, U' ');
  return position.rejected({{.index = 0, .token = 0, .characters = spaces}}).empty();
}

// Each character is a level with its own ways to go on, which are kept while those of the next one are looked for.
void all_ways_to_go_on_within_a_token_are_counted_together() {
  // Each level holds 30,000 ways of nine elements: eight are within the limit of 2^22, and 128 are far beyond it.
  const std::string wide = "root ::= \"a\"" + times(" | \" \" root", 30'000);
  CHECK(may_begin_with_spaces(wide, 8));
  try {
    may_begin_with_spaces(wide, 128);
    CHECK(false);
  } catch (const se::Error &error) {
    CHECK(error.status == SE_INVALID_ARGUMENT && error.message.find("too many ways") != std::string::npos);
  }
  // What a level has only passed through is freed.
  CHECK(may_begin_with_spaces(chain(40'000, [](const auto &next) { return next; }, "\" \" root | \"a\""), 16));
}

void a_long_chain_is_followed() {
  // Looked through by recursion it would need more stack than there is.
  se::Interrupt interrupt;
  se::GrammarMatch match(chain(200'000, [](const auto &next) { return next; }, "\"a\" | "), interrupt);
  CHECK(match.is_complete());
  match.add("a");
  CHECK(match.is_complete());
  match.add("a");
  CHECK(!match.holds());
}

void a_call_ends_while_a_grammar_is_read_or_followed() {
  se::Interrupt interrupt;
  interrupt.arm(0, 0);
  interrupt.cancel();
  CHECK(failure("root ::= \"a\"", interrupt).status == SE_CANCELLED);
  interrupt.disarm();
  se::GrammarMatch match("root ::= (\"a\" | \"b\"? \"a\"? \"a\"?)*", interrupt);
  interrupt.arm(0, 0);
  interrupt.cancel();
  try {
    match.add(times("a", 10'000));
    CHECK(false);
  } catch (const se::Error &error) {
    CHECK(error.status == SE_CANCELLED);
  }
}

void copies_of_a_match_go_on_by_themselves() {
  se::Interrupt interrupt;
  se::GrammarMatch first("root ::= \"a\" [b-d]{2} | \"ä\"+", interrupt);
  first.add("a");
  se::GrammarMatch second = first;
  second.add("bx");
  CHECK(!second.holds() && first.holds() && !first.is_complete());
  first.add("bd");
  CHECK(first.is_complete());
}

// Reads `a` as more of a reasoning that is known in advance, and all else as text.
class ScriptedParser : public se::ResponseParser {
 public:
  explicit ScriptedParser(std::vector<std::string> reasoning) : reasoning_(std::move(reasoning)) {}

  bool add(std::string_view text, const se::DeltaReceiver &receiver) override {
    for (const char &c : text) {
      const bool is_reasoning = c == 'a';
      const std::string_view said = is_reasoning ? std::string_view(reasoning_.at(next_++)) : std::string_view(&c, 1);
      const auto kind = is_reasoning ? se::DeltaKind::reasoning : se::DeltaKind::text;
      if (!said.empty() && !receiver({.kind = kind, .text = said})) return false;
    }
    return true;
  }
  bool finish(const se::DeltaReceiver &) override { return true; }
  bool has_tool_calls() const override { return false; }

 private:
  std::vector<std::string> reasoning_;
  size_t next_ = 0;
};

using Pieces = std::vector<std::string>;

// Of an answer of three pieces of reasoning and then `c`, of a call, or `t`, of a text: what is told, and when.
void check_told(const Pieces &of_call, const Pieces &of_text, const Pieces &wanted) {
  se::Interrupt interrupt;
  for (const char *end : {"c", "t"}) {
    const bool is_call = end[0] == 'c';
    se::CallOrTextParser parser(
        {std::make_unique<ScriptedParser>(of_call), se::GrammarMatch("root ::= \"aaac\"", interrupt)},
        {std::make_unique<ScriptedParser>(of_text), se::GrammarMatch("root ::= \"aaat\"", interrupt)});
    std::string reasoning, text, all;
    const auto receiver = [&](const se::TextDelta &delta) {
      CHECK(delta.kind == se::DeltaKind::text || text.empty());
      (delta.kind == se::DeltaKind::text ? text : reasoning) += delta.text;
      return true;
    };
    for (const std::string &soon : wanted) {
      CHECK(parser.add("a", receiver));
      CHECK(reasoning == soon);
    }
    CHECK(parser.add(end, receiver) && parser.finish(receiver));
    for (const std::string &piece : is_call ? of_call : of_text) all += piece;
    if (reasoning != all || text != end) {
      std::fprintf(stderr, "passed on `%s` and `%s` in place of `%s`\n", reasoning.c_str(), text.c_str(), all.c_str());
      CHECK(false);
    }
  }
}

void reasoning_is_told_once_and_whole() {
  check_told({"a", "b", "c"}, {"a", "b", "c"}, {"a", "ab", "abc"});
  // One reads it later than the other one.
  check_told({"", "a", "bc"}, {"a", "", "bc"}, {"", "a", "abc"});
  check_told({"abc", "", ""}, {"a", "b", "c"}, {"a", "ab", "abc"});
  // They read something else, in the middle of a character as well.
  check_told({"Hm.", " So", "."}, {"Hm,", " so", "."}, {"Hm", "Hm", "Hm"});
  check_told({"z\xC3\xA4", "b", "c"}, {"z\xC3\xB6", "b", "c"}, {"z", "z", "z"});
  check_told({"a", "b", "c"}, {"", "", ""}, {"", "", ""});
}

}  // namespace

int main() {
  hostile_grammars_are_refused();
  all_ways_to_go_on_within_a_token_are_counted_together();
  a_long_chain_is_followed();
  a_call_ends_while_a_grammar_is_read_or_followed();
  copies_of_a_match_go_on_by_themselves();
  reasoning_is_told_once_and_whole();
  std::puts("passed");
  return 0;
}
