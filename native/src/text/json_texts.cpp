// Answers that follow a schema, and calls without text beside them, where llama.cpp's code for a format has neither.
#include <chat-peg-parser.h>
#include <json-schema-to-grammar.h>

#include <string>

#include "base/json.h"
#include "text/call_formats.h"
#include "text/grammar_text.h"

namespace se {

namespace {

using Builder = common_chat_peg_builder;
using Parser = common_peg_parser;

// A set without characters: no text follows it, not even an empty one.
constexpr char kNothing[] = R"([^\x00-\U0010FFFF])";

}  // namespace

void use_schema(common_chat_params &made, const common_json &schema, const std::string &text_mark) {
  const std::string &begun = made.generation_prompt;
  const common_peg_arena parser = build_chat_peg_parser([&](Builder &p) {
    const std::string &start = made.thinking_start_tag;
    Parser answer = p.prefix(begun, start);
    if (!start.empty() && !made.thinking_end_tags.empty()) {
      const std::string &end = made.thinking_end_tags.front();
      answer += p.optional(p.literal(start) + p.reasoning(p.until(end)) + p.literal(end)) + p.space();
    }
    if (!begun.ends_with(text_mark)) answer += p.literal(text_mark);
    return answer + p.content(p.schema(p.json(), "response-format", schema)) + p.end();
  });
  made.parser = parser.save();
  made.grammar_lazy = false;
  made.grammar_triggers.clear();
  made.grammar = build_grammar([&](const common_grammar_builder &builder) { parser.build_grammar(builder, false); });
}

void leave_out_text(common_chat_params &made) {
  OrderedJson arena = OrderedJson::parse(made.parser);
  for (OrderedJson &parser : arena["parsers"]) {
    if (parser["type"] != "tag" || parser["tag"] != Builder::CONTENT) continue;
    // The rule has the name that common_peg_arena::build_grammar gives to a text up to a mark.
    const std::string rule = "until-" + std::to_string(parser["child"].get<size_t>());
    // In Functionary's format such a text is a message of its own.
    const bool is_message = made.grammar.find(R"("all\n" )" + rule) != std::string::npos;
    replace_rule(made.grammar, rule, is_message ? kNothing : "\"\"");
    parser = {{"type", "epsilon"}};
  }
  made.parser = arena.dump();
  // The same in gpt-oss.
  replace_rule(made.grammar, "preamble", kNothing);
}

}  // namespace se
