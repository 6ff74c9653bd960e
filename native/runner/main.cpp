// sphere-edge-run: runs and measures models where there is no Python. Exit code = status code; 64: wrong usage.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include "verbs.h"

namespace runner {
namespace {

constexpr int kUsage = 64;

const std::vector<Option> kOpening = {
    {"--threads", "N", "threads; default: the performance cores this process may use"},
    {"--context", "TOKENS", "room for prompt and answer; default: what the bundle was made for"},
    {"--backend", "NAME",
     "cpu, opencl, cuda, vulkan (a GGUF); default: the bundle's first choice, or the next one where that fails"},
    {"--json", "", "one JSON document on stdout, also for errors"},
};

std::vector<Option> with_opening(std::vector<Option> options) {
  options.insert(options.end(), kOpening.begin(), kOpening.end());
  return options;
}

std::vector<Option> sampling(std::vector<Option> first) {
  const std::vector<Option> options = {
      {"--max-tokens", "N", "0: until the model stops or the context is full"},
      {"--temperature", "T", "0: always the likeliest token"},
      {"--top-k", "K", "0: off"},
      {"--top-p", "P", "1: off"},
      {"--min-p", "P", "0: off"},
      {"--repeat-penalty", "R", "1: off"},
      {"--seed", "N", "the same seed, the same answer"},
      {"--stop", "TEXT", "end before this text; may be repeated"},
      {"--grammar", "FILE", "GBNF that the answer follows"},
      {"--json-schema", "FILE", "JSON schema that the answer follows"},
      {"--timeout-ms", "N", "0: none"},
  };
  first.insert(first.end(), options.begin(), options.end());
  return with_opening(std::move(first));
}

const std::vector<Verb> &verbs() {
  static const std::vector<Verb> all = {
      {"generate", "MODEL [PROMPT]", "continue a prompt",
       sampling({{"--prompt-file", "FILE", "read the prompt from a file, - for stdin"}}), 2, run_generate},
      {"chat", "MODEL [TEXT]", "answer a message, a message list, or line by line from stdin",
       sampling({{"--messages", "FILE", "JSON list of {role, content}, - for stdin"},
                 {"--chat-template-kwargs", "JSON", "for the template, such as {\"enable_thinking\": false}"}}),
       2, run_chat},
      {"bench", "MODEL", "measure prefill, decode, time to first token, load time and memory",
       with_opening({{"--prompt-tokens", "N,…", "prompt lengths; default 128,512"},
                     {"--new-tokens", "N,…", "answer lengths; default 128"},
                     {"--kernels", "", "time each kernel of a GPU, which slows all of them down"},
                     {"--repeat", "N", "samples of each; default 5"},
                     {"--sustain", "SECONDS", "then answer after answer for so long; default 0"}}),
       1, run_bench},
      {"certify", "MODEL", "compare with a stored reference; prints JSON",
       with_opening({{"--reference", "DIR", "default: certify/ of the bundle"},
                     {"--repeat", "N", "how often; default 5"},
                     {"--short", "", "only the steps of the short form"},
                     {"--trace", "", "tell of every kernel once instead"}}),
       1, run_certify},
      {"score", "MODEL", "log probabilities of given tokens or of a text",
       with_opening({{"--tokens", "ID,…", "token ids"},
                     {"--text", "TEXT", "a text"},
                     {"--text-file", "FILE", "a text from a file, - for stdin"}}),
       1, run_score},
      {"transcribe",
       "MODEL FILE.wav",
       "write down what is said in a wav file of 16 kHz",
       {{"--language", "CODE", "such as en; default: found out"},
        {"--translate", "", "into English"},
        {"--prompt", "TEXT", "words and names that may come"},
        {"--temperature", "T", "0: always the likeliest token"},
        {"--no-fallback", "", "one attempt only, however badly it comes out"},
        {"--beam-size", "N", "0: greedy"},
        {"--words", "", "with the times of each word, for --json"},
        {"--max-length", "N", "characters of a segment; 0: as they come"},
        {"--vad", "", "hear only where somebody speaks, by the bundle's voice detector"},
        {"--voice-detector", "FILE", "the same with a Silero VAD in whisper.cpp's format"},
        {"--repeat", "N", "so many times, for the timings in --json; default 1"},
        {"--timeout-ms", "N", "0: none"},
        {"--threads", "N", "threads; default: the performance cores this process may use"},
        {"--json", "", "one JSON document on stdout, also for errors"}},
       2,
       run_transcribe},
      {"imagine",
       "MODEL PROMPT",
       "paint pictures from words",
       {{"--output", "FILE", "PNG; default out.png, several get numbers"},
        {"--negative", "TEXT", "what shall not be seen"},
        {"--width", "N", "pixels; default: the model's own"},
        {"--height", "N", "pixels; default: the model's own"},
        {"--steps", "N", "default: the model's own"},
        {"--sampler", "NAME", "such as euler; default: the model's own"},
        {"--schedule", "NAME", "such as karras; default: the model's own"},
        {"--cfg-scale", "X", "how closely the prompt is followed"},
        {"--guidance", "X", "the same for distilled models"},
        {"--seed", "N", "the same seed, the same picture"},
        {"--batch", "N", "how many pictures"},
        {"--vae-tiling", "", "less memory, a little slower"},
        {"--timeout-ms", "N", "0: none"},
        {"--threads", "N", "threads; default: the performance cores this process may use"},
        {"--json", "", "one JSON document on stdout, also for errors"}},
       2,
       run_imagine},
      {"info", "[MODEL]", "what this machine offers and what a model holds",
       with_opening({{"--gpu", "", "also what the drivers of its GPUs say"}}), 1, run_info},
  };
  return all;
}

void print_usage() {
  std::cout << "usage: sphere-edge-run VERB MODEL … [options]\n\n"
               "MODEL is a bundle folder, a .gguf file or a whisper.cpp file. Verbs:\n";
  for (const Verb &verb : verbs())
    std::cout << "  " << verb.name << " " << verb.words << "\n      " << verb.help << "\n";
  std::cout << "\nsphere-edge-run VERB --help lists a verb's options; --version prints the version.\n"
               "Exit code: 0, or the status code of the error; 64 for wrong usage.\n";
}

void print_usage(const Verb &verb) {
  std::cout << "usage: sphere-edge-run " << verb.name << " " << verb.words << " [options]\n\n" << verb.help << "\n\n";
  for (const Option &option : verb.options) {
    const std::string left = option.name + (option.value.empty() ? "" : " " + option.value);
    std::cout << "  " << left << std::string(left.size() < 26 ? 26 - left.size() : 1, ' ') << option.help << "\n";
  }
}

void print_error(const std::string &message, const std::string &hint) {
  std::cerr << "error: " << message << "\n";
  if (!hint.empty()) std::cerr << "\nhint: " << hint << "\n";
}

// What the core warns of, such as a backend that does not work here, while it goes on. From any thread, so in one
// piece.
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
  for (const Verb &verb : verbs()) {
    if (verb.name != words[0]) continue;
    if (!rest.empty() && (rest[0] == "--help" || rest[0] == "-h")) {
      print_usage(verb);
      return 0;
    }
    const Arguments arguments(rest, verb.options, verb.most_words);
    try {
      verb.run(arguments);
    } catch (const Failure &failure) {
      return report(failure, arguments.has("--json"));
    }
    return std::cout.flush() ? 0 : report({SE_STORAGE, "cannot write to standard output", ""}, false);
  }
  throw UsageError("unknown verb `" + words[0] + "`");
}

}  // namespace

Model open_model(const Arguments &arguments) {
  const std::string backend = arguments.text("--backend").value_or("");
  se_text_open_options options = {};
  options.size = sizeof(options);
  options.threads = static_cast<int32_t>(arguments.number("--threads", 0, 1, 512));
  options.context_tokens = static_cast<uint32_t>(arguments.number("--context", 0, 1, INT32_MAX));
  options.backend = backend.empty() ? nullptr : backend.c_str();
  options.measure_kernels = arguments.has("--kernels");
  return Model(arguments.word(0, "MODEL"), options);
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
    runner::print_error(error.what(), "sphere-edge-run --help shows what is possible");
    return runner::kUsage;
  } catch (const std::exception &error) {
    runner::print_error(error.what(), "");
    return SE_INTERNAL;
  }
}
