// By llama.cpp's chat code: it knows many models' formats, and finds out those of others by trying their templates.
#include "text/chat_format.h"

#include <chat-auto-parser.h>
#include <chat.h>

#include <mutex>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "engines/template_limits.h"
#include "engines/template_source.h"
#include "text/call_formats.h"
#include "text/call_or_text_parser.h"
#include "text/chat_messages.h"
#include "text/chat_response_parser.h"
#include "text/function_gemma_grammar.h"
#include "text/grammar_match.h"
#include "text/grammar_text.h"

namespace se {
namespace {

using Analysis = autoparser::autoparser;
using Inputs = autoparser::generation_params;

// A template is rendered about fifty times to find out what it does, with short messages, and thrice for a prompt. Of
// llama.cpp's 70 sample templates, the most expensive makes 50,000 values for that, and 3,100 for each message.
constexpr uint64_t kMostValues = 1'000'000;
constexpr uint64_t kMostValuesPerMessage = 10'000;

common_json converted(const OrderedJson &json) { return common_json::parse(json.dump()); }

bool contains(const std::string &text, const char *word) { return text.find(word) != std::string::npos; }

// Of templates that llama.cpp has no code for; `is_found_out`: it found out how this one writes calls.
ToolFormat tool_format_of(const std::string &source, bool is_found_out) {
  if (contains(source, "<start_function_call>")) return ToolFormat::function_gemma;
  if (contains(source, "<|tool|>") && contains(source, "<|/tool|>")) return ToolFormat::phi4;
  if (is_found_out) return ToolFormat::of_template;
  return contains(source, "<start_of_turn>") ? ToolFormat::gemma : ToolFormat::hermes;
}

// Calls as JSON between marks, in which tool_messages.cpp writes them where the template does not.
void use_json_calls(Analysis &analysis, ToolFormat format) {
  autoparser::tool_format_analysis &calls = analysis.tools.format;
  calls = {};
  calls.mode = autoparser::tool_format::JSON_NATIVE;
  analysis.jinja_caps.supports_tool_calls = true;
  analysis.jinja_caps.supports_parallel_tool_calls = true;
  if (format == ToolFormat::hermes) {
    calls.per_call_start = "<tool_call>\n";
    calls.per_call_end = "</tool_call>";
    return;
  }
  calls.section_start = "<|tool_call|>";
  calls.section_end = "<|/tool_call|>";
  calls.tools_array_wrapped = true;
  for (const std::string &mark : {calls.section_start, calls.section_end}) analysis.preserved_tokens.push_back(mark);
}

std::string rendered(const common_chat_template &parsed, const common_json &variables) {
  jinja::context context(parsed.source());
  jinja::global_from_json(context, variables, false);
  jinja::runtime runtime(context);
  return jinja::runtime::gather_string_parts(runtime.execute(parsed.prog))->as_string().str();
}

// The value of `enable_thinking` with which the template does what it does without: transformers leaves the variable
// unset, which llama.cpp cannot.
common_json unset_thinking(const common_chat_template &parsed) {
  common_json variables = common_json::object();
  variables["messages"] = common_json::parse(R"([{"role": "user", "content": "Hello"}])");
  variables["bos_token"] = parsed.bos_token();
  variables["eos_token"] = parsed.eos_token();
  variables["add_generation_prompt"] = true;
  try {
    const std::string unset = rendered(parsed, variables);
    for (const char *value : {"true", "false", "null"}) {
      variables["enable_thinking"] = common_json::parse(value);
      if (rendered(parsed, variables) == unset) return variables["enable_thinking"];
    }
  } catch (const std::exception &) {
    // It wants other messages; what is wrong with the caller's is said then.
  }
  return common_json(true);
}

common_chat_continuation continuation_of(const ChatRequest &request) {
  switch (request.continuation) {
    case Continuation::content:
      return COMMON_CHAT_CONTINUATION_CONTENT;
    case Continuation::reasoning:
      return COMMON_CHAT_CONTINUATION_REASONING;
    case Continuation::automatic: {
      const OrderedJson &last = request.messages.back();
      const bool only_reasons = last.contains("reasoning_content") && last["content"].empty();
      return only_reasons || last["content"] == "" ? COMMON_CHAT_CONTINUATION_REASONING
                                                   : COMMON_CHAT_CONTINUATION_CONTENT;
    }
    case Continuation::none:
      break;
  }
  return COMMON_CHAT_CONTINUATION_NONE;
}

struct ResponseStart {
  std::string opening;
  bool is_reasoning_expected;
  ChatResponseParser::AnswerText answer_text;
};

ChatPrompt prompt_of(common_chat_params made, ResponseStart start) {
  ChatPrompt prompt;
  prompt.text = std::move(made.prompt);
  // Marks also stand in names and texts of schemas, and the model writes those without.
  prompt.begun_response = InputMarks::without(made.generation_prompt);
  prompt.opening = std::move(start.opening);
  prompt.is_reasoning_expected = start.is_reasoning_expected;
  prompt.grammar.text = InputMarks::without(made.grammar);
  prompt.grammar.is_lazy = made.grammar_lazy;
  prompt.grammar.begun = prompt.begun_response;
  for (const common_grammar_trigger &trigger : made.grammar_triggers) {
    const bool is_pattern =
        trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN || trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN_FULL;
    prompt.grammar.triggers.push_back({InputMarks::without(trigger.value), is_pattern});
  }
  prompt.preserved_tokens = made.preserved_tokens;
  prompt.stops = made.additional_stops;
  prompt.reasoning = {made.thinking_start_tag, made.thinking_end_tags};
  common_chat_parser_params parameters(made);
  parameters.generation_prompt = prompt.begun_response;
  start.answer_text.reasoning_marks = prompt.reasoning.ends;
  start.answer_text.reasoning_marks.insert(start.answer_text.reasoning_marks.begin(), prompt.reasoning.begin);
  parameters.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
  if (!made.parser.empty()) parameters.parser.load(InputMarks::without(made.parser));
  prompt.parser = std::make_unique<ChatResponseParser>(std::move(parameters), std::move(start.answer_text));
  return prompt;
}

// With what the prompt begins the answer with.
GrammarMatch match_of(const ChatPrompt &prompt, const Interrupt &interrupt) {
  GrammarMatch match(prompt.grammar.text, interrupt);
  match.add(prompt.begun_response);
  return match;
}

// In some formats the reasoning needs no marks, so that any text may be some. `match`: of `calls`.
void check_calls_begin_with_a_mark(const ChatPrompt &calls, GrammarMatch match) {
  const Reasoning reasoning(calls.reasoning, calls.begun_response, std::nullopt);
  if (reasoning.is_on()) match.add(reasoning.end());
  // No name of a tool has this character.
  match.add("!");
  if (!match.holds()) return;
  throw Error(
      SE_UNSUPPORTED,
      "in this model's format any text may come before a tool call: none can be held to `response_format` beside tools",
      "give either tools or `response_format`, or require a call");
}

// Of an answer that is read as either of both.
ChatPrompt either_of(ChatPrompt calls, ChatPrompt text, const Interrupt &interrupt) {
  GrammarMatch match = match_of(calls, interrupt);
  check_calls_begin_with_a_mark(calls, match);
  ChatPrompt prompt = std::move(text);
  CallOrTextParser::Reading call_reading{std::move(calls.parser), std::move(match)};
  CallOrTextParser::Reading text_reading{std::move(prompt.parser), match_of(prompt, interrupt)};
  prompt.parser = std::make_unique<CallOrTextParser>(std::move(call_reading), std::move(text_reading));
  prompt.grammar.text = either_grammar(calls.grammar.text, prompt.grammar.text);
  prompt.preserved_tokens.insert(prompt.preserved_tokens.end(), calls.preserved_tokens.begin(),
                                 calls.preserved_tokens.end());
  prompt.stops.insert(prompt.stops.end(), calls.stops.begin(), calls.stops.end());
  return prompt;
}

}  // namespace

// What is found out about a template once.
struct ChatFormat::Template {
  common_chat_template parsed;
  Analysis analysis = {};
  TemplateAbilities abilities = {};
  common_json thinking;
  bool is_known = false;

  // llama.cpp's own copy, without checks that its analysis would fail.
  Template(const std::string &source, const std::string &bos, const std::string &eos)
      : parsed(common_chat_templates_source(common_chat_templates_init(nullptr, for_lexer(source), bos, eos).get()),
               bos, eos) {
    analysis.analyze_template(parsed);
    const chat_template_caps caps = parsed.original_caps();
    is_known = is_format_of_its_own();
    abilities = {caps.supports_system_role,   contains(source, "<|channel|>"), caps.supports_string_content,
                 caps.supports_typed_content, caps.supports_object_arguments,  ToolFormat::of_template};
    if (!is_known) {
      const bool is_found_out = caps.supports_tools && analysis.tools.format.mode != autoparser::tool_format::NONE;
      abilities.tools = tool_format_of(source, is_found_out);
    }
    if (abilities.tools == ToolFormat::function_gemma) {
      // Its template is found out wrongly, or not at all, because it wants names with results.
      abilities.has_system_role = abilities.has_developer_role = abilities.takes_json_values = true;
    }
    if (abilities.tools == ToolFormat::hermes || abilities.tools == ToolFormat::phi4) {
      use_json_calls(analysis, abilities.tools);
    }
    thinking = unset_thinking(parsed);
  }

  // Whether llama.cpp has code for just this format.
  bool is_format_of_its_own() const {
    Inputs inputs;
    inputs.messages = common_json::parse(R"([{"role": "user", "content": "Hello"}])");
    inputs.extra_context = common_json::object();
    inputs.add_generation_prompt = true;
    return common_chat_try_specialized_template(parsed, parsed.source(), inputs).has_value();
  }

  Inputs inputs_of(const ChatRequest &request, const InputMarks &marks) const {
    Inputs inputs;
    inputs.messages = converted(template_messages(request, abilities, marks));
    if (!request.tools.empty()) {
      OrderedJson tools = request.tools;
      marks.mark(tools);
      inputs.tools = converted(tools);
    }
    inputs.tool_choice = request.tool_choice == ToolChoice::none       ? COMMON_CHAT_TOOL_CHOICE_NONE
                         : request.tool_choice == ToolChoice::required ? COMMON_CHAT_TOOL_CHOICE_REQUIRED
                                                                       : COMMON_CHAT_TOOL_CHOICE_AUTO;
    inputs.parallel_tool_calls = request.parallel_tool_calls;
    inputs.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
    if (!request.json_schema.empty()) inputs.json_schema = common_json::parse(request.json_schema);
    OrderedJson variables = request.variables;
    marks.mark(variables);
    inputs.extra_context = converted(variables);
    if (!request.reasoning && !variables.contains("enable_thinking"))
      inputs.extra_context["enable_thinking"] = thinking;
    inputs.enable_thinking = request.reasoning.value_or(!thinking.is_boolean() || thinking.get<bool>());
    inputs.continue_final_message = continuation_of(request);
    inputs.add_generation_prompt = request.continuation == Continuation::none;
    if (!inputs.add_generation_prompt) {
      common_json last = common_json::array();
      last.push_back(inputs.messages.at(inputs.messages.size() - 1));
      inputs.continue_msg = common_chat_msgs_parse_oaicompat(last).front();
      inputs.messages.erase(inputs.messages.size() - 1);
    }
    return inputs;
  }

  // What a tool call begins with: where the model decides about it, the grammar waits for that.
  std::string tool_call_start(Inputs inputs) const {
    inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_AUTO;
    for (const common_grammar_trigger &trigger : apply(inputs).grammar_triggers) {
      if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_WORD) return trigger.value;
    }
    const bool is_bare_json =
        !is_known && !has_own_calls() && analysis.tools.format.mode == autoparser::tool_format::JSON_NATIVE;
    return is_bare_json ? "{" : "";
  }

  // Whether calls are read by code of ours.
  bool has_own_calls() const {
    return abilities.tools == ToolFormat::gemma || abilities.tools == ToolFormat::function_gemma;
  }

  common_chat_params apply_own_calls(Inputs inputs) const {
    const bool may_call =
        !inputs.tools.empty() && inputs.json_schema.empty() && inputs.tool_choice != COMMON_CHAT_TOOL_CHOICE_NONE;
    const bool is_required = inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_REQUIRED;
    // Of what llama.cpp makes then, only the prompt is used where there are calls.
    inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_NONE;
    common_chat_params made = autoparser::peg_generator::generate_parser(parsed, inputs, analysis);
    if (!may_call) return made;
    const std::string begun = common_chat_template_generation_prompt(parsed, inputs);
    const CallFormat format{inputs.tools, is_required, inputs.parallel_tool_calls, begun};
    abilities.tools == ToolFormat::gemma ? use_gemma_calls(made, format) : use_function_gemma_calls(made, format);
    return made;
  }

  // What this format puts before a text that follows its reasoning, in formats for which llama.cpp knows no schemas.
  std::string text_mark() const {
    if (contains(parsed.source(), ">>>all")) return "all\n";
    if (contains(parsed.source(), "<|end_of_msg|>")) return "<|open|>response<|sep|>";
    return "";
  }

  // Of an answer that follows the schema and calls no tools.
  common_chat_params apply_schema(Inputs inputs) const {
    inputs.tools = common_json();
    inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_NONE;
    common_chat_params made = apply(inputs);
    if (made.grammar.empty()) use_schema(made, inputs.json_schema, text_mark());
    return made;
  }

  // Of an answer that calls tools and says nothing else.
  common_chat_params apply_calls(Inputs inputs) const {
    inputs.json_schema = common_json();
    inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_REQUIRED;
    common_chat_params made = apply(std::move(inputs));
    leave_out_text(made);
    return made;
  }

  common_chat_params apply(Inputs inputs) const {
    if (is_known) return *common_chat_try_specialized_template(parsed, parsed.source(), inputs);
    if (has_own_calls()) return apply_own_calls(std::move(inputs));
    Analysis used = analysis;
    autoparser::tool_format_analysis &format = used.tools.format;
    if (!inputs.parallel_tool_calls && format.section_start.empty()) {
      // llama.cpp heeds this only in formats where all calls stand in one section.
      format.section_start = std::exchange(format.per_call_start, "");
      format.section_end = std::exchange(format.per_call_end, "");
    }
    common_chat_params made = autoparser::peg_generator::generate_parser(parsed, inputs, used);
    if (analysis.reasoning.mode == autoparser::reasoning_mode::NONE) return made;
    made.thinking_start_tag = analysis.reasoning.start;
    if (!analysis.reasoning.end.empty()) made.thinking_end_tags = {analysis.reasoning.end};
    return made;
  }

  // How an answer is read and constrained whose text follows no schema. `made`: by `inputs`.
  ChatPrompt free_answer(common_chat_params made, const Inputs &inputs) const {
    const bool is_call = inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_REQUIRED;
    const bool thinks = inputs.enable_thinking && !made.thinking_start_tag.empty();
    return prompt_of(std::move(made),
                     {is_call ? tool_call_start(inputs) : "", thinks, {true, has_bare_calls(), is_call}});
  }

  // The same where it does unless it calls tools.
  ChatPrompt schema_answer(const ChatRequest &request, const Inputs &inputs, const Interrupt &interrupt) const {
    ChatPrompt text = prompt_of(apply_schema(inputs), {"", false, {false, has_bare_calls(), false}});
    if (!request.may_call_tools()) return text;
    ChatPrompt calls = prompt_of(apply_calls(inputs), {"", false, {true, has_bare_calls(), true}});
    return either_of(std::move(calls), std::move(text), interrupt);
  }

  bool has_bare_calls() const { return abilities.tools == ToolFormat::gemma; }
};

namespace {

// The notation of these calls has no grammar for some keywords: strict tools are refused for them.
void check_function_gemma_tools(const ChatRequest &request) {
  for (const OrderedJson &tool : request.allowed_tools) {
    const auto name = tool["function"]["name"].get<std::string>();
    for (const std::string &path : not_held_to(tool["function"]["parameters"])) {
      const std::string what = "tool " + ticked(name) + " ";
      if (request.strict_tools.contains(name)) {
        throw Error(SE_UNSUPPORTED, what + "is strict, and this model's calls cannot follow " + ticked(path),
                    "leave it out and say it in the description");
      }
      log(SE_LOG_WARNING, what + "is not held to " + ticked(path) + " of its schema by this model's calls");
    }
  }
}

}  // namespace

struct ChatFormat::Once {
  std::mutex mutex;
  std::unique_ptr<const Template> found;
};

ChatFormat::ChatFormat(std::string source, std::string bos, std::string eos)
    : source_(std::move(source)), bos_(std::move(bos)), eos_(std::move(eos)), once_(std::make_unique<Once>()) {}
ChatFormat::~ChatFormat() = default;
ChatFormat::ChatFormat(ChatFormat &&) noexcept = default;

const ChatFormat::Template &ChatFormat::found(const TemplateLimits &limits) const {
  const std::lock_guard lock(once_->mutex);
  if (once_->found) return *once_->found;
  try {
    check_template_shape(source_);
    auto found = std::make_unique<const Template>(source_, bos_, eos_);
    limits.check(SE_UNSUPPORTED);
    once_->found = std::move(found);
  } catch (const Error &) {
    throw;
  } catch (const std::exception &error) {
    limits.check(SE_UNSUPPORTED);
    throw Error(SE_UNSUPPORTED, std::string("the model's chat template cannot be read: ") + error.what(),
                "package the model with another template");
  }
  return *once_->found;
}

ChatPrompt ChatFormat::prompt(const ChatRequest &request, const InputMarks &marks, const Interrupt &interrupt) const {
  if (!exists()) {
    throw Error(SE_UNSUPPORTED, "the model has no chat template",
                "generate from a plain prompt, or package the model with a template");
  }
  // With a schema, the prompt, the calls and the text are made one after the other.
  const uint64_t times = request.json_schema.empty() ? 1 : 3;
  const TemplateLimits limits(interrupt, times * (kMostValues + kMostValuesPerMessage * request.messages.size()));
  const Template &used = found(limits);
  if (used.abilities.tools == ToolFormat::function_gemma && request.may_call_tools()) {
    check_function_gemma_tools(request);
  }
  try {
    Inputs inputs = used.inputs_of(request, marks);
    common_chat_params told = used.apply(inputs);
    limits.check(SE_UNSUPPORTED);
    std::string text = told.prompt;
    // The model is told of all tools; its answer is read and constrained by those that it may call.
    const bool is_all = request.allowed_tools.size() == request.tools.size();
    if (!is_all) {
      OrderedJson allowed = request.allowed_tools;
      marks.mark(allowed);
      inputs.tools = converted(allowed);
    }
    ChatPrompt prompt = !request.json_schema.empty()
                            ? used.schema_answer(request, inputs, interrupt)
                            : used.free_answer(is_all ? std::move(told) : used.apply(inputs), inputs);
    limits.check(SE_UNSUPPORTED);
    prompt.text = std::move(text);
    return prompt;
  } catch (const Error &) {
    throw;
  } catch (const std::exception &error) {
    limits.check(SE_UNSUPPORTED);
    throw Error(SE_INVALID_ARGUMENT, std::string("the model's chat template rejects these messages: ") + error.what());
  }
}

}  // namespace se
