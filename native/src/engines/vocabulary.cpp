// Reads a vocabulary with llama.cpp's own reader and no model around it: models take most of llama.cpp's code.
#include "engines/vocabulary.h"

#include <llama-model-loader.h>
#include <llama-vocab.h>

#include <string>
#include <vector>

#include "base/log.h"
#include "base/status.h"
#include "formats/gguf.h"

namespace se {

std::shared_ptr<const llama_vocab> read_vocabulary(const std::filesystem::path &path) {
  adopt_engine_logs();
  check_gguf_vocabulary(read_gguf(path), path);
  const auto refuse = [&](const std::string &problem) {
    throw Error(SE_LOAD_FAILED, "cannot load the tokenizer " + ticked(path.string()) + ": " + problem);
  };
  const EngineErrors errors;
  const gguf_context_ptr file(gguf_init_from_file(path.c_str(), {true, nullptr}));
  if (!file) refuse(errors.first());
  auto vocabulary = std::make_shared<llama_vocab>();
  try {
    std::vector<std::string> no_splits;
    llama_model_loader loader(file.get(), nullptr, nullptr, "", no_splits, nullptr, LLAMA_LOAD_MODE_NONE, false, true,
                              false, nullptr, nullptr);
    vocabulary->load(loader, LLM_KV(loader.get_arch()));
  } catch (const std::exception &error) {
    refuse(error.what());
  }
  return vocabulary;
}

}  // namespace se
