// The engine for GGUF files and their image encoders, in builds that have it.
#pragma once

#include <llama.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engines/engine.h"
#include "engines/image_encoder.h"

namespace se {

struct GgufEngine {
  std::unique_ptr<Engine> engine;
  std::shared_ptr<const llama_vocab> vocabulary;  // of the same file; lives on its own
  std::unique_ptr<ImageEncoder> image_encoder;    // null without options.mmproj
};

// `options.context_tokens` 0: min(4096, the model's own). `options.backend`: one of gguf_backends(). Errors of
// read_gguf, LOAD_FAILED, FORMAT_MISMATCH (the image encoder of another model), OOM_RAM, OOM_VRAM, UNSUPPORTED (no such
// backend, or a build without this engine).
GgufEngine open_gguf_engine(const std::filesystem::path &path, const EngineOptions &options);

// Of the file of an image encoder. Errors of read_gguf, MODEL_CORRUPT, UNSUPPORTED (or a build without this engine).
ImageEncoderFacts image_encoder_facts(const std::filesystem::path &path);

// The backends of this build for GGUF files; empty: none. Not a macro, so that all other files are the same with and
// without this engine and are compiled once for both.
std::vector<std::string> gguf_backends();

}  // namespace se
