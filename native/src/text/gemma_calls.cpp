// Calls of Gemma 3 begin with no token of their own: what begins like a call of one of the tools is one.
#include <chat-peg-parser.h>
#include <json-schema-to-grammar.h>

#include <string>
#include <string_view>
#include <vector>

#include "text/call_formats.h"

namespace se {
namespace {

using Builder = common_chat_peg_builder;
using Parser = common_peg_parser;

const std::vector<std::string> kFences = {"```json", "```tool_code", "```tool_call", "```"};

Parser code_fence(Builder &p) {
  Parser any = p.choice();
  for (const std::string &mark : kFences) any |= p.literal(mark);
  return any;
}

Parser json_key(Builder &p, const std::string &name) {
  return p.literal("\"" + name + "\"") + p.space() + p.literal(":") + p.space();
}

Parser call_of(Builder &p, const common_json &function) {
  const std::string name = function.at("name");
  return p.tool(p.tool_open(p.literal("{")) + p.space() + json_key(p, "name") +
                p.atomic(p.literal("\"") + p.tool_name(p.literal(name)) + p.literal("\"")) + p.space() +
                p.literal(",") + p.space() + json_key(p, "parameters") +
                p.tool_args(p.schema(p.json(), "tool-" + name + "-schema", common_chat_tool_parameters(function))) +
                p.space() + p.tool_close(p.literal("}")));
}

// Where text ends and a call begins.
Parser call_start(Builder &p, const common_json &tools) {
  Parser names = p.choice();
  for (const common_json &tool : tools) {
    const std::string name = tool.at("function").at("name");
    names |= p.literal("\"" + name + "\"");
  }
  return p.optional(code_fence(p) + p.space()) + p.optional(p.literal("[") + p.space()) + p.literal("{") + p.space() +
         json_key(p, "name") + names + p.space() + p.literal(",") + p.space() + json_key(p, "parameters") +
         p.literal("{");
}

Parser gemma_call_list(Builder &p, const CallFormat &format) {
  Parser one = p.choice();
  for (const common_json &tool : format.tools) one |= call_of(p, tool.at("function"));
  one = p.rule("one-call", one);
  Parser several = one;
  if (format.is_parallel) several = one + p.zero_or_more(p.space() + p.literal(",") + p.space() + one);
  const Parser list = p.literal("[") + p.space() + several + p.space() + p.literal("]");
  const Parser bare = p.rule("calls", p.choice({list, one}));
  return p.trigger_rule("tool-call", p.choice({code_fence(p) + p.space() + bare + p.space() + p.literal("```"), bare}));
}

// Up to a call; braces, brackets and blocks of code that begin none belong to the text.
Parser text_before(Builder &p, const common_json &tools) {
  const std::vector<std::string> begins = {"```", "[", "{"};
  const Parser piece = p.negate(call_start(p, tools)) + p.any() + p.until_one_of(begins);
  return p.content(p.until_one_of(begins) + p.zero_or_more(piece));
}

std::string call_pattern(const common_json &tools) {
  std::string names;
  for (const common_json &tool : tools) {
    if (!names.empty()) names += "|";
    const std::string name = tool.at("function").at("name");
    for (const char c : name) names += c == '.' ? std::string("\\.") : std::string(1, c);
  }
  return R"re(((?:```[a-z_]*\s*)?(?:\[\s*)?\{\s*"name"\s*:\s*"(?:)re" + names + R"re()"))re";
}

}  // namespace

void use_gemma_calls(common_chat_params &made, const CallFormat &format) {
  const common_peg_arena parser = build_chat_peg_parser([&](Builder &p) {
    const Parser begun = p.prefix(format.begun);
    if (format.is_required) return begun + p.space() + gemma_call_list(p, format) + p.space() + p.end();
    return begun + text_before(p, format.tools) + gemma_call_list(p, format) + p.space() + p.end();
  });
  made.parser = parser.save();
  made.grammar_lazy = !format.is_required;
  made.grammar =
      build_grammar([&](const common_grammar_builder &builder) { parser.build_grammar(builder, made.grammar_lazy); });
  made.grammar_triggers.clear();
  if (made.grammar_lazy) {
    made.grammar_triggers.push_back({COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN, call_pattern(format.tools)});
  }
}

}  // namespace se
