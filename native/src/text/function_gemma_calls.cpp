// Values are read by llama.cpp's reader of Gemma 4, whose notation differs in the marks around strings only: it looks
// at the names of the rules.
#include <chat-peg-parser.h>
#include <json-schema-to-grammar.h>

#include <string>
#include <utility>
#include <vector>

#include "text/call_formats.h"
#include "text/function_gemma_grammar.h"

namespace se {
namespace {

using Builder = common_chat_peg_builder;
using Parser = common_peg_parser;

constexpr char kCallStart[] = "<start_function_call>";
constexpr char kCallEnd[] = "<end_function_call>";
constexpr char kResponseStart[] = "<start_function_response>";
constexpr char kEscapeMark[] = "<escape>";

// Names of tools have characters that names of rules have not.
std::string arguments_rule(size_t tool) { return "function-gemma-arguments-" + std::to_string(tool); }

// Nothing, or ITEM (, ITEM)*, between brackets.
Parser bracketed(Builder &p, const std::string &open, const Parser &item, const std::string &close) {
  const Parser comma = p.literal(",") + p.space();
  const Parser items = item + p.zero_or_more(p.space() + comma + item);
  return p.literal(open) + p.space() + p.choice({p.literal(close), p.sequence({items, p.space(), p.literal(close)})});
}

void add_gemma_values(Builder &p) {
  p.rule("gemma4-string-content", p.until(kEscapeMark));
  p.rule("gemma4-string", p.literal(kEscapeMark) + p.ref("gemma4-string-content") + p.literal(kEscapeMark));
  p.rule("gemma4-bool", p.json_bool());
  p.rule("gemma4-null", p.json_null());
  p.rule("gemma4-number", p.json_number());
  p.rule("gemma4-dict-key", p.rule("gemma4-dict-key-name", p.chars("[^:}]", 1, -1)) + p.literal(":"));
  p.rule("gemma4-dict-kv", p.ref("gemma4-dict-key") + p.space() + p.ref("gemma4-value"));
  p.rule("gemma4-dict", bracketed(p, "{", p.ref("gemma4-dict-kv"), "}"));
  p.rule("gemma4-array", bracketed(p, "[", p.ref("gemma4-value"), "]"));
  p.rule("gemma4-value", p.choice({p.ref("gemma4-string"), p.ref("gemma4-dict"), p.ref("gemma4-array"),
                                   p.ref("gemma4-number"), p.ref("gemma4-bool"), p.ref("gemma4-null")}));
}

Parser function_gemma_call_list(Builder &p, const CallFormat &format) {
  add_gemma_values(p);
  Parser one = p.choice();
  for (size_t i = 0; i < format.tools.size(); ++i) {
    const std::string name = format.tools.at(i).at("function").at("name");
    one |= p.tool(p.tool_open(p.tool_name(p.literal(name)) + p.peek(p.literal("{"))) +
                  p.tool_args(p.gbnf(p.ref("gemma4-dict"), arguments_rule(i))));
  }
  const Parser call = p.literal(kCallStart) + p.literal("call:") + one + p.literal(kCallEnd) + p.gbnf(p.space(), "");
  return p.trigger_rule("tool-call", p.repeat(call, 1, format.is_parallel ? -1 : 1));
}

}  // namespace

void use_function_gemma_calls(common_chat_params &made, const CallFormat &format) {
  const common_peg_arena parser = build_chat_peg_parser([&](Builder &p) {
    const Parser begun = p.prefix(format.begun);
    if (format.is_required) return begun + function_gemma_call_list(p, format) + p.end();
    return begun + p.content(p.until(kCallStart)) + function_gemma_call_list(p, format) + p.end();
  });
  made.format = COMMON_CHAT_FORMAT_PEG_GEMMA4;
  made.parser = parser.save();
  made.grammar_lazy = !format.is_required;
  made.grammar = build_grammar([&](const common_grammar_builder &builder) {
    FunctionGemmaGrammar values(builder);
    for (size_t i = 0; i < format.tools.size(); ++i) {
      const common_json schema = common_chat_tool_parameters(format.tools.at(i).at("function"));
      builder.add_rule(arguments_rule(i), values.value(OrderedJson::parse(schema.dump())));
    }
    parser.build_grammar(builder, made.grammar_lazy);
  });
  made.grammar_triggers.clear();
  if (made.grammar_lazy) made.grammar_triggers.push_back({COMMON_GRAMMAR_TRIGGER_TYPE_WORD, kCallStart});
  for (const char *token : {kCallStart, kCallEnd, kResponseStart, kEscapeMark}) made.preserved_tokens.push_back(token);
  // It goes on with the results that it expects.
  made.additional_stops.push_back(kResponseStart);
}

}  // namespace se
