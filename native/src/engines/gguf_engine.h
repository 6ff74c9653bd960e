// The engine for GGUF files, in builds that have it.
#pragma once

#include <llama.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engines/engine.h"

namespace se {

struct GgufEngine {
  std::unique_ptr<Engine> engine;
  std::shared_ptr<const llama_vocab> vocabulary;  // of the same file; lives on its own
};

// `options.context_tokens` 0: min(4096, the model's own). `options.backend`: one of gguf_backends(). Errors of
// read_gguf, LOAD_FAILED, OOM_RAM, OOM_VRAM, UNSUPPORTED (no such backend, or a build without this engine).
GgufEngine open_gguf_engine(const std::filesystem::path &path, const EngineOptions &options);

// The backends of this build for GGUF files; empty: none. Not a macro, so that all other files are the same with and
// without this engine and are compiled once for both.
std::vector<std::string> gguf_backends();

}  // namespace se
