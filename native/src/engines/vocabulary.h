// llama.cpp's vocabulary of a GGUF file, read without a model.
#pragma once

#include <llama.h>

#include <filesystem>
#include <memory>

namespace se {

// The vocabulary inside a GGUF file, which may hold nothing else. Errors of read_gguf and check_gguf_vocabulary;
// LOAD_FAILED with llama.cpp's words.
std::shared_ptr<const llama_vocab> read_vocabulary(const std::filesystem::path &path);

}  // namespace se
