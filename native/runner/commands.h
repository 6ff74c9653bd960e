// The runner's subcommands: one function each, which prints its result.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "arguments.h"
#include "model.h"

namespace runner {

struct Command {
  std::string name;
  std::string words;
  std::string help;
  std::vector<Option> options;
  size_t most_words;
  // Prints its result; JSON if `--json` is given.
  void (*run)(const Arguments &);
};

void run_generate(const Arguments &arguments);
void run_chat(const Arguments &arguments);
void run_bench(const Arguments &arguments);
void run_certify(const Arguments &arguments);
void run_score(const Arguments &arguments);
void run_transcribe(const Arguments &arguments);
void run_generate_image(const Arguments &arguments);
void run_info(const Arguments &arguments);

// Opens the model given by the first argument, with --threads, --context and --backend.
Model open_model(const Arguments &arguments);

// The text of the file that --trusted names, or of trusted_keys.json beside the bundle; nullopt: there is neither.
std::optional<std::string> trusted_keys(const Arguments &arguments);

// The content of a file, or of standard input for "-".
std::string read_input(const std::string &path);

void print_json(const Json &value);

}  // namespace runner
