// sphere-edge-run: runs and measures models on devices without Python. Exit code = status code; 64: wrong usage.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>

#include "commands.h"

namespace runner {
namespace {

constexpr int kUsage = 64;

const Option kTrusted = {"--trusted", "FILE",
                         "open only bundles that a key in this file has signed; default: trusted_keys.json beside the "
                         "bundle, if it is there"};
const std::vector<Option> kOpening = {
    {"--threads", "N", "threads; default: one per performance core"},
    {"--context", "TOKENS", "context length; default: the bundle's"},
    {"--backend", "NAME",
     "cpu, opencl, cuda, vulkan (GGUF only); default: the bundle's first choice, or the next one if that fails"},
    {"--json", "", "one JSON document on stdout, also for errors"},
    kTrusted,
};
const Option kMmproj = {"--mmproj", "FILE", "image encoder of a bare .gguf; a bundle has its own"};

std::vector<Option> with_opening(std::vector<Option> options) {
  options.insert(options.end(), kOpening.begin(), kOpening.end());
  return options;
}

std::vector<Option> sampling(std::vector<Option> first) {
  const std::vector<Option> options = {
      {"--max-tokens", "N", "0: until the model stops or the context is full"},
      {"--temperature", "T", "0: greedy"},
      {"--top-k", "K", "0: off"},
      {"--top-p", "P", "1: off"},
      {"--min-p", "P", "0: off"},
      {"--repeat-penalty", "R", "1: off"},
      {"--presence-penalty", "P", "0: off"},
      {"--frequency-penalty", "P", "0: off"},
      {"--top-logprobs", "N", "log probabilities of each token and the N likeliest, at most 20, for --json"},
      {"--seed", "N", "the same seed gives the same output"},
      {"--stop", "TEXT", "stop before this text; may be repeated"},
      {"--grammar", "FILE", "GBNF grammar for the output"},
      {"--json-schema", "FILE", "JSON schema for the output"},
      {"--timeout-ms", "N", "0: none"},
      {"--prompt-lookup", "", "draft what the prompt and the answer repeat: the same text, sooner where it does"},
      {"--draft-model", "MODEL", "draft with a second, smaller model that has the same tokenizer"},
      {"--draft-tokens", "N", "the most that are drafted at once; 0, the default: as long as they save time"},
  };
  first.insert(first.end(), options.begin(), options.end());
  return with_opening(std::move(first));
}

const std::vector<Command> &commands() {
  static const std::vector<Command> all = {
      {"generate", "MODEL [PROMPT]", "continue a prompt",
       sampling({{"--prompt-file", "FILE", "read the prompt from a file, - for stdin"}}), 2, run_generate},
      {"chat", "MODEL [TEXT]", "reply to a message, a message list, or to lines from stdin",
       sampling(
           {{"--messages", "FILE",
             "JSON list of {role, content}, or {messages, tools, …} as in se_text_chat, - for stdin"},
            {"--image", "FILE", "PPM image to show with the text; may be repeated"},
            kMmproj,
            {"--tools", "FILE", "JSON list of tools as OpenAI's API has them"},
            {"--deltas", "", "one JSON document per line: each piece of the answer, and last the result"},
            {"--chat-template-kwargs", "JSON", "variables for the template, such as {\"enable_thinking\": false}"}}),
       2, run_chat},
      {"bench", "MODEL", "measure prefill, decode, time to first token, load time and memory",
       with_opening({{"--prompt-tokens", "N,…", "prompt lengths; default 128,512"},
                     {"--new-tokens", "N,…", "output lengths; default 128"},
                     {"--kernels", "", "time each GPU kernel, which slows the GPU down"},
                     {"--repeat", "N", "samples of each; default 5"},
                     {"--sequences", "N", "also decode N conversations at once; default 1"},
                     {"--sustain", "SECONDS", "then generate continuously for this time; default 0"}}),
       1, run_bench},
      {"certify", "MODEL", "compare with a stored reference; always prints JSON",
       with_opening({{"--reference", "DIR", "default: certify/ of the bundle"},
                     {"--repeat", "N", "number of runs; default 5"},
                     {"--short", "", "only the steps of the short form"},
                     {"--trace", "", "trace every kernel once instead"}}),
       1, run_certify},
      {"score", "MODEL", "log probabilities of given tokens or of a text",
       with_opening({{"--tokens", "ID,…", "token ids"},
                     {"--text", "TEXT", "a text"},
                     {"--text-file", "FILE", "a text from a file, - for stdin"}}),
       1, run_score},
      {"transcribe",
       "MODEL FILE.wav",
       "transcribe a 16 kHz wav file",
       {{"--language", "CODE", "such as en; default: auto-detected"},
        {"--translate", "", "into English"},
        {"--prompt", "TEXT", "words and names to expect"},
        {"--temperature", "T", "0: greedy"},
        {"--no-fallback", "", "only one attempt, whatever its quality"},
        {"--beam-size", "N", "0: greedy"},
        {"--words", "", "with word timestamps, for --json"},
        {"--max-length", "N", "characters per segment; 0: no limit"},
        {"--vad", "", "transcribe only detected speech, with the bundle's VAD model"},
        {"--vad-model", "FILE", "the same with a Silero VAD in whisper.cpp's format"},
        {"--no-previous-text", "", "each 30 s without the text before, from which a loop may come"},
        {"--repeat", "N", "number of runs, for the timings in --json; default 1"},
        {"--timeout-ms", "N", "0: none"},
        {"--threads", "N", "threads; default: one per performance core"},
        {"--json", "", "one JSON document on stdout, also for errors"},
        kTrusted},
       2,
       run_transcribe},
      {"generate-image",
       "MODEL PROMPT",
       "generate images from a prompt",
       {{"--output", "FILE", "PNG; default out.png; several images are numbered"},
        {"--negative-prompt", "TEXT", "what to avoid"},
        {"--width", "N", "pixels; default: the model's own"},
        {"--height", "N", "pixels; default: the model's own"},
        {"--steps", "N", "default: the model's own"},
        {"--sampler", "NAME", "such as euler; default: the model's own"},
        {"--schedule", "NAME", "such as karras; default: the model's own"},
        {"--cfg-scale", "X", "classifier-free guidance; 1: off"},
        {"--guidance", "X", "distilled guidance"},
        {"--seed", "N", "the same seed gives the same image"},
        {"--batch", "N", "number of images"},
        {"--vae-tiling", "", "less memory, a little slower"},
        {"--timeout-ms", "N", "0: none"},
        {"--threads", "N", "threads; default: one per performance core"},
        {"--json", "", "one JSON document on stdout, also for errors"},
        kTrusted},
       2,
       run_generate_image},
      {"info", "[MODEL]", "show this machine, and what a model contains",
       with_opening({{"--gpu", "", "also the GPUs and their drivers"}}), 1, run_info},
  };
  return all;
}

void print_usage() {
  std::cout << "usage: sphere-edge-run COMMAND MODEL … [options]\n\n"
               "MODEL is a bundle folder, a .gguf file or a whisper.cpp file. Commands:\n";
  for (const Command &command : commands())
    std::cout << "  " << command.name << " " << command.words << "\n      " << command.help << "\n";
  std::cout << "\nsphere-edge-run COMMAND --help lists its options; --version prints the version.\n"
               "Exit code: 0, or the status code of the error; 64 for wrong usage.\n";
}

void print_usage(const Command &command) {
  std::cout << "usage: sphere-edge-run " << command.name << " " << command.words << " [options]\n\n"
            << command.help << "\n\n";
  for (const Option &option : command.options) {
    const std::string left = option.name + (option.value.empty() ? "" : " " + option.value);
    std::cout << "  " << left << std::string(left.size() < 26 ? 26 - left.size() : 1, ' ') << option.help << "\n";
  }
}

void print_error(const std::string &message, const std::string &hint) {
  std::cerr << "error: " << message << "\n";
  if (!hint.empty()) std::cerr << "\nhint: " << hint << "\n";
}

// Warnings of the core, such as a backend that does not work. Called from any thread, so each is written at once.
void show_warning(se_log_level level, const char *message, void *) {
  if (level < SE_LOG_WARNING) return;
  std::cerr << (level == SE_LOG_ERROR ? "error: " : "warning: ") + std::string(message) + "\n";
}

int report(const Failure &failure, bool as_json) {
  std::cout << std::flush;
  if (as_json) {
    print_json({{"error",
                 {{"code", static_cast<int>(failure.status)},
                  {"status", se_status_name(failure.status)},
                  {"message", failure.message},
                  {"hint", failure.hint}}}});
  } else {
    print_error(failure.message, failure.hint);
  }
  return failure.status;
}

int run(const std::vector<std::string> &words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h") {
    print_usage();
    return words.empty() ? kUsage : 0;
  }
  if (words[0] == "--version") {
    std::cout << se_version() << "\n";
    return 0;
  }
  const std::vector<std::string> rest(words.begin() + 1, words.end());
  for (const Command &command : commands()) {
    if (command.name != words[0]) continue;
    if (!rest.empty() && (rest[0] == "--help" || rest[0] == "-h")) {
      print_usage(command);
      return 0;
    }
    const Arguments arguments(rest, command.options, command.most_words);
    try {
      command.run(arguments);
    } catch (const Failure &failure) {
      return report(failure, arguments.has("--json"));
    }
    return std::cout.flush() ? 0 : report({SE_STORAGE, "cannot write to standard output", ""}, false);
  }
  throw UsageError("unknown command `" + words[0] + "`");
}

}  // namespace

Model open_model(const Arguments &arguments) {
  const std::string backend = arguments.text("--backend").value_or("");
  const std::string mmproj = arguments.text("--mmproj").value_or("");
  se_text_open_options options = {};
  options.size = sizeof(options);
  options.threads = static_cast<int32_t>(arguments.number("--threads", 0, 1, 512));
  options.context_tokens = static_cast<uint32_t>(arguments.number("--context", 0, 1, INT32_MAX));
  options.backend = backend.empty() ? nullptr : backend.c_str();
  options.measure_kernels = arguments.has("--kernels");
  options.sequences = static_cast<uint32_t>(arguments.number("--sequences", 1, 1, 64));
  const std::string draft_model = arguments.text("--draft-model").value_or("");
  options.draft_model = draft_model.empty() ? nullptr : draft_model.c_str();
  options.mmproj = mmproj.empty() ? nullptr : mmproj.c_str();
  const std::optional<std::string> trusted = trusted_keys(arguments);
  options.trusted_keys = trusted ? trusted->c_str() : nullptr;
  return Model(arguments.word(0, "MODEL"), options);
}

std::optional<std::string> trusted_keys(const Arguments &arguments) {
  if (const auto file = arguments.text("--trusted")) return read_input(*file);
  // What `deploy --trusted` has put there.
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path bundle = fs::canonical(arguments.word(0, "MODEL"), error);
  if (error) return std::nullopt;  // Opening it says why.
  const fs::path beside = bundle.parent_path() / "trusted_keys.json";
  // A link that leads nowhere and a folder that may not be read are no absence.
  const fs::file_status found = fs::symlink_status(beside, error);
  if (found.type() == fs::file_type::not_found) return std::nullopt;
  if (error) throw Failure{SE_STORAGE, "cannot read `" + beside.string() + "`: " + error.message(), ""};
  return read_input(beside.string());
}

std::string read_input(const std::string &path) {
  if (path == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw Failure{SE_NOT_FOUND, "cannot read `" + path + "`", ""};
  return {std::istreambuf_iterator<char>(stream), {}};
}

void print_json(const Json &value) {
  std::cout << value.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n" << std::flush;
}

}  // namespace runner

int main(int count, char **words) {
  runner::cancel_on_signals();
  se_log_set(runner::show_warning, nullptr);
  try {
    return runner::run(std::vector<std::string>(words + 1, words + count));
  } catch (const runner::UsageError &error) {
    runner::print_error(error.what(), "see sphere-edge-run --help");
    return runner::kUsage;
  } catch (const std::exception &error) {
    runner::print_error(error.what(), "");
    return SE_INTERNAL;
  }
}
