// The commands generate and chat: text as it is generated, or one JSON document with --json.
#include <cstdio>
#include <iostream>
#include <set>

#include "commands.h"
#include "ppm.h"

namespace runner {
namespace {

const char *name_of(se_finish_reason reason) {
  switch (reason) {
    case SE_FINISH_STOP:
      return "stop";
    case SE_FINISH_LENGTH:
      return "length";
    case SE_FINISH_CANCELLED:
      return "cancelled";
    case SE_FINISH_TOOL_CALLS:
      return "tool_calls";
    default:
      return "unknown";
  }
}

// As OpenAI's API has it; the bytes, because a token may be a part of a character.
Json json_of(const se_token_logprob &one) {
  const std::vector<unsigned char> bytes(one.bytes, one.bytes + one.byte_count);
  Json json = {{"token_id", one.token_id}, {"logprob", one.logprob}, {"bytes", bytes}};
  for (size_t i = 0; i < one.top_count; ++i) json["top_logprobs"].push_back(json_of(one.top[i]));
  return json;
}

// The options, with the strings that they point to.
struct Options {
  std::vector<std::string> stops;
  std::vector<const char *> stop_pointers;
  std::string grammar;
  std::string json_schema;
  std::vector<Ppm> image_files;
  std::vector<se_chat_image> images;
  se_text_generate_options values;

  Options(const Arguments &arguments, Model &model) : stops(arguments.texts("--stop")), values(model.defaults()) {
    values.max_tokens = static_cast<uint32_t>(arguments.number("--max-tokens", 0, 0, INT32_MAX));
    values.temperature = arguments.real("--temperature", values.temperature);
    values.top_k = static_cast<int32_t>(arguments.number("--top-k", values.top_k, 0, INT32_MAX));
    values.top_p = arguments.real("--top-p", values.top_p);
    values.min_p = arguments.real("--min-p", values.min_p);
    values.repeat_penalty = arguments.real("--repeat-penalty", values.repeat_penalty);
    values.presence_penalty = arguments.real("--presence-penalty", 0);
    values.frequency_penalty = arguments.real("--frequency-penalty", 0);
    values.logprobs = arguments.text("--top-logprobs").has_value();
    values.top_logprobs = static_cast<uint8_t>(arguments.number("--top-logprobs", 0, 0, 20));
    values.seed = static_cast<uint32_t>(arguments.number("--seed", SE_SEED_RANDOM, 0, UINT32_MAX));
    if (arguments.has("--prompt-lookup")) values.draft = SE_DRAFT_PROMPT_LOOKUP;
    values.draft_tokens = static_cast<uint32_t>(arguments.number("--draft-tokens", values.draft_tokens, 0, 31));
    values.timeout_ms = static_cast<uint32_t>(arguments.number("--timeout-ms", 0, 0, UINT32_MAX));
    for (const std::string &stop : stops) stop_pointers.push_back(stop.c_str());
    values.stop = stop_pointers.data();
    values.stop_count = stop_pointers.size();
    for (const std::string &path : arguments.texts("--image")) image_files.push_back(read_ppm(read_input(path), path));
    for (const Ppm &one : image_files) images.push_back({one.pixels.data(), one.width, one.height});
    values.images = images.data();
    values.image_count = images.size();
    if (const auto path = arguments.text("--grammar")) {
      grammar = read_input(*path);
      values.grammar = grammar.c_str();
    }
    if (const auto path = arguments.text("--json-schema")) {
      json_schema = read_input(*path);
      values.json_schema = json_schema.c_str();
    }
  }
};

const char *name_of(const se_text_delta &delta) {
  switch (delta.kind) {
    case SE_DELTA_TEXT:
      return "text";
    case SE_DELTA_REASONING:
      return "reasoning";
    case SE_DELTA_TOOL_CALL_BEGIN:
      return "tool_call_begin";
    case SE_DELTA_TOOL_CALL_ARGUMENTS:
      return "tool_call_arguments";
    case SE_DELTA_TOOL_CALL_END:
      return "tool_call_end";
  }
  return "unknown";
}

// Collects the output, and prints it as it arrives unless JSON is wanted at the end.
struct Screen {
  bool quiet;
  bool prints_deltas = false;
  std::string text = {};
  std::string reasoning = {};
  Json tool_calls = Json::array();
  Json logprobs = Json::array();

  explicit Screen(const Arguments &arguments)
      : quiet(arguments.has("--json") || arguments.has("--deltas")), prints_deltas(arguments.has("--deltas")) {}

  Model::Receiver receiver() {
    return [this](const se_text_delta &delta) {
      for (size_t i = 0; i < delta.logprob_count; ++i) logprobs.push_back(json_of(delta.logprobs[i]));
      collect(delta);
      if (prints_deltas) print(delta);
      if (!quiet && delta.kind == SE_DELTA_TEXT)
        std::cout << std::string_view(delta.text, delta.text_bytes) << std::flush;
      return static_cast<bool>(std::cout);
    };
  }

  void collect(const se_text_delta &delta) {
    const std::string piece(delta.text, delta.text_bytes);
    if (delta.kind == SE_DELTA_TEXT) text += piece;
    if (delta.kind == SE_DELTA_REASONING) reasoning += piece;
    if (delta.kind == SE_DELTA_TOOL_CALL_BEGIN) {
      tool_calls.push_back({{"id", delta.tool_call_id}, {"name", delta.tool_name}, {"arguments", ""}});
    }
    if (delta.kind == SE_DELTA_TOOL_CALL_ARGUMENTS) {
      Json &arguments = tool_calls.at(delta.tool_index)["arguments"];
      arguments = arguments.get<std::string>() + piece;
    }
  }

  static void print(const se_text_delta &delta) {
    Json line = {{"kind", name_of(delta)}, {"text", std::string(delta.text, delta.text_bytes)}};
    if (delta.kind >= SE_DELTA_TOOL_CALL_BEGIN) line["tool_index"] = delta.tool_index;
    if (delta.kind == SE_DELTA_TOOL_CALL_BEGIN) line.update({{"id", delta.tool_call_id}, {"name", delta.tool_name}});
    std::cout << line.dump() << "\n" << std::flush;
  }

  // With --json also the backend, and why it is not the first choice; without, the log has warned about it.
  void finish(const se_text_result &result, Model &model) const {
    if (!quiet) {
      std::cout << "\n";
      return;
    }
    Json json = {{"text", text},
                 {"reasoning", reasoning},
                 {"tool_calls", tool_calls},
                 {"backend", result.backend},
                 {"backend_reason", model.info().at("backend_reason")},
                 {"finish_reason", name_of(result.finish_reason)},
                 {"prompt_tokens", result.prompt_tokens},
                 {"cached_tokens", result.cached_tokens},
                 {"completion_tokens", result.completion_tokens},
                 {"reasoning_tokens", result.reasoning_tokens},
                 {"draft_tokens", result.draft_tokens},
                 {"accepted_tokens", result.accepted_tokens},
                 {"seed", result.seed},
                 {"prefill_seconds", result.prefill_seconds},
                 {"first_token_seconds", result.first_token_seconds},
                 {"decode_seconds", result.decode_seconds}};
    if (!logprobs.empty()) json["logprobs"] = logprobs;
    if (prints_deltas) {
      std::cout << json.dump() << "\n";
    } else {
      print_json(json);
    }
  }
};

// No key twice in an object: of two values only the last would count.
Json document(const std::string &text, const std::string &what) {
  std::vector<std::set<std::string>> keys;
  return Json::parse(
      text,
      [&](int, Json::parse_event_t event, Json &value) {
        if (event == Json::parse_event_t::object_start) keys.emplace_back();
        if (event == Json::parse_event_t::object_end) keys.pop_back();
        if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second) {
          throw UsageError(what + " has the key `" + value.get<std::string>() + "` twice");
        }
        return true;
      },
      false);
}

// The messages, or a whole conversation, with what --tools and --chat-template-kwargs add.
Json conversation(const Arguments &arguments, const Json &messages) {
  Json whole = messages.is_object() ? messages : Json::object({{"messages", messages}});
  if (const auto text = arguments.text("--chat-template-kwargs")) {
    whole["chat_template_kwargs"] = document(*text, "--chat-template-kwargs");
    if (!whole["chat_template_kwargs"].is_object()) {
      throw UsageError("--chat-template-kwargs is not a JSON object: `" + *text + "`");
    }
  }
  if (const auto path = arguments.text("--tools")) {
    whole["tools"] = document(read_input(*path), "--tools");
    if (!whole["tools"].is_array()) throw UsageError("--tools is not a JSON list: `" + *path + "`");
  }
  return whole;
}

Json message(const char *role, const std::string &content) { return {{"role", role}, {"content", content}}; }

// Shows the images before the text.
Json message_with_images(const std::string &text, size_t images) {
  Json parts = Json::array();
  for (size_t i = 0; i < images; ++i) parts.push_back({{"type", "image"}});
  parts.push_back({{"type", "text"}, {"text", text}});
  return {{"role", "user"}, {"content", parts}};
}

// Replies to every line of standard input as the next message of one conversation.
void converse(const Arguments &arguments, Model &model, const Options &options) {
  Json messages = Json::array();
  for (std::string line; std::getline(std::cin, line);) {
    if (line.empty()) continue;
    messages.push_back(message("user", line));
    Screen screen(arguments);
    screen.finish(model.chat(conversation(arguments, messages), options.values, screen.receiver()), model);
    messages.push_back(message("assistant", screen.text));
  }
}

}  // namespace

void run_generate(const Arguments &arguments) {
  const auto file = arguments.text("--prompt-file");
  if (file.has_value() == arguments.optional_word(1).has_value()) {
    throw UsageError("give either a prompt or --prompt-file");
  }
  const std::string prompt = file ? read_input(*file) : *arguments.optional_word(1);
  Model model = open_model(arguments);
  const Options options(arguments, model);
  Screen screen(arguments);
  screen.finish(model.generate(prompt, options.values, screen.receiver()), model);
}

void run_chat(const Arguments &arguments) {
  const auto file = arguments.text("--messages");
  Json messages = Json::array();
  if (file) {
    messages = document(read_input(*file), "--messages");
    if (messages.is_discarded()) throw UsageError("--messages is not JSON: `" + *file + "`");
  } else if (const auto text = arguments.optional_word(1)) {
    const size_t images = arguments.texts("--image").size();
    messages.push_back(images == 0 ? message("user", *text) : message_with_images(*text, images));
  }
  Model model = open_model(arguments);
  const Options options(arguments, model);
  if (messages.empty()) {
    converse(arguments, model, options);
    return;
  }
  Screen screen(arguments);
  screen.finish(model.chat(conversation(arguments, messages), options.values, screen.receiver()), model);
}

}  // namespace runner
