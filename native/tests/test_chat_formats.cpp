// Formats of tool calls of our own, and answers that are calls or follow a schema in these and others: forged answers,
// cut at every character, become the right deltas, and the grammar lets right ones through and stops wrong ones.
//
//   chat-formats-test VOCABULARY.gguf CASES.json FORMAT TEMPLATE.jinja
#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "check.h"
#include "text/chat_format.h"
#include "text/chat_request.h"
#include "text/grammar.h"
#include "text/tokenizer.h"

namespace {

using se::OrderedJson;

std::string content_of(const char *path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  CHECK(file.good());
  return text.str();
}

struct Read {
  std::string text, reasoning;
  OrderedJson calls = OrderedJson::array();  // [[name, arguments as text], …]
  size_t ended = 0;
};

void take(const se::TextDelta &delta, Read &read) {
  switch (delta.kind) {
    case se::DeltaKind::text:
      // All text comes before calls.
      CHECK(read.calls.empty());
      read.text += delta.text;
      return;
    case se::DeltaKind::reasoning:
      CHECK(read.calls.empty() && read.text.empty());
      read.reasoning += delta.text;
      return;
    case se::DeltaKind::tool_call_begin:
      CHECK(delta.tool_index == read.calls.size() && read.ended == read.calls.size());
      CHECK(!delta.tool_call_id.empty());
      read.calls.push_back({std::string(delta.tool_name), ""});
      return;
    case se::DeltaKind::tool_call_arguments:
      CHECK(delta.tool_index + 1 == read.calls.size());
      read.calls.back()[1] = read.calls.back()[1].get<std::string>() + std::string(delta.text);
      return;
    case se::DeltaKind::tool_call_end:
      CHECK(delta.tool_index + 1 == read.calls.size());
      ++read.ended;
      return;
    default:
      CHECK(false);
  }
}

std::vector<std::string> characters_of(const std::string &text) {
  std::vector<std::string> characters;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) characters.emplace_back();
    characters.back() += c;
  }
  return characters;
}

Read read_in(const std::vector<std::string> &pieces, se::ResponseParser &parser) {
  Read read;
  const auto receiver = [&](const se::TextDelta &delta) {
    take(delta, read);
    return true;
  };
  for (const std::string &piece : pieces) CHECK(parser.add(piece, receiver));
  CHECK(parser.finish(receiver));
  CHECK(parser.has_tool_calls() == !read.calls.empty());
  return read;
}

class Format {
 public:
  Format(const char *vocabulary, OrderedJson tools, const std::string &source)
      : tokenizer_(se::Tokenizer::from_file(vocabulary)), tools_(std::move(tools)), format_(source, "", "") {}

  // Null: text is free.
  void follow(const OrderedJson &response_format) { response_format_ = response_format; }

  se::ChatPrompt prompt(const std::string &choice) const {
    const OrderedJson chat = {{"messages", {{{"role", "user"}, {"content", "Hello"}}}},
                              {"tools", tools_},
                              {"tool_choice", choice},
                              {"response_format", response_format_}};
    return format_.prompt(se::ChatRequest::parse(chat.dump()), se::InputMarks({}), interrupt_);
  }

  // Whether the grammar lets each token through, and the end behind them.
  bool lets_through(const std::string &answer, const std::string &choice) const {
    se::Grammar grammar(prompt(choice).grammar, tokenizer_, interrupt_);
    for (const int32_t token : tokenizer_.tokenize(answer, false, false)) {
      if (!allows(grammar, token)) return false;
      grammar.accept(token);
    }
    return allows(grammar, llama_vocab_eos(tokenizer_.vocabulary()));
  }

 private:
  static bool allows(const se::Grammar &grammar, int32_t token) {
    if (!grammar.holds()) return true;
    llama_token_data candidate = {token, 0, 0};
    llama_token_data_array candidates = {&candidate, 1, -1, false};
    grammar.apply(candidates);
    return std::isfinite(candidate.logit);
  }

  // Outlives what answers are read with.
  se::Interrupt interrupt_;
  se::Tokenizer tokenizer_;
  OrderedJson tools_, response_format_;
  se::ChatFormat format_;
};

void check_read(const Read &read, const OrderedJson &wanted) {
  if (read.text != wanted.value("text", "") || read.reasoning != wanted.value("reasoning", "")) {
    std::fprintf(stderr, "%s: read the text `%s`, the reasoning `%s` and calls %s\n", wanted.dump().c_str(),
                 read.text.c_str(), read.reasoning.c_str(), read.calls.dump().c_str());
    CHECK(false);
  }
  CHECK(read.ended == read.calls.size());
  OrderedJson calls = OrderedJson::array();
  for (const OrderedJson &call : read.calls) {
    calls.push_back({call[0], OrderedJson::parse(call[1].get<std::string>())});
  }
  if (calls == wanted.value("calls", OrderedJson::array())) return;
  std::fprintf(stderr, "%s: read %s\n", wanted.dump().c_str(), calls.dump().c_str());
  CHECK(false);
}

void check_at_every_cut(const Format &format, const OrderedJson &wanted) {
  const auto answer = wanted["answer"].get<std::string>();
  const std::vector<std::string> characters = characters_of(answer);
  check_read(read_in(characters, *format.prompt("auto").parser), wanted);
  for (size_t cut = 0; cut <= characters.size(); ++cut) {
    std::string begin, end;
    for (size_t i = 0; i < characters.size(); ++i) (i < cut ? begin : end) += characters[i];
    check_read(read_in({begin, end}, *format.prompt("auto").parser), wanted);
    // Cut off there for good, it is no error, and what was begun is ended.
    const Read part = read_in({begin}, *format.prompt("auto").parser);
    CHECK(part.ended == part.calls.size());
  }
  if (format.lets_through(answer, "auto")) return;
  std::fprintf(stderr, "the grammar stops %s\n", answer.c_str());
  CHECK(false);
}

void check_stopped(const Format &format, const OrderedJson &answers, const std::string &choice) {
  for (const OrderedJson &answer : answers) {
    if (!format.lets_through(answer.get<std::string>(), choice)) continue;
    std::fprintf(stderr, "the grammar lets %s through\n", answer.dump().c_str());
    CHECK(false);
  }
}

// `wanted`: of answers that may call tools and otherwise follow a schema.
void check_calls_or_schema(Format &format, const OrderedJson &wanted) {
  for (const OrderedJson &one : wanted) {
    format.follow(one["response_format"]);
    for (const OrderedJson &answer : one["right"]) {
      check_at_every_cut(format, answer);
      const auto text = answer["answer"].get<std::string>();
      CHECK(answer.contains("calls") || format.lets_through(text, "none"));
      CHECK(format.lets_through(text, "required") == answer.contains("calls"));
    }
    check_stopped(format, one["wrong"], "auto");
  }
}

void right(const Format &format, const OrderedJson &wanted) {
  check_at_every_cut(format, wanted);
  const auto answer = wanted["answer"].get<std::string>();
  // What text comes before a required call is the opening's business.
  if (!wanted.contains("text")) CHECK(format.lets_through(answer, "required"));
  if (!wanted.contains("calls")) CHECK(!format.lets_through(answer, "required"));
}

}  // namespace

int main(int count, char **words) {
  CHECK(count == 5);
  try {
    const OrderedJson cases = OrderedJson::parse(content_of(words[2]));
    const OrderedJson &format_cases = cases["formats"][words[3]];
    const auto wanted = [&](const char *kind) { return format_cases.value(kind, OrderedJson::array()); };
    Format format(words[1], cases["tools"], content_of(words[4]));
    for (const OrderedJson &one : wanted("right")) right(format, one);
    for (const char *choice : {"auto", "required"}) check_stopped(format, wanted("wrong"), choice);
    check_calls_or_schema(format, wanted("calls_or_schema"));
    std::printf("%s passed\n", words[3]);
  } catch (const se::Error &error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    return 1;
  }
  return 0;
}
