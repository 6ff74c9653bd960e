// The tokenizers' tables (vocabularies and merges) of stable-diffusion.cpp, from files of the bundle. Compiled in, as
// it has them, they would be 20 MB of which a model uses a tenth.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace se {

// While it lives, models that this thread opens take their tables from these files: "clip_merges", "t5_json",
// "qwen2_merges", "mistral_merges", "mistral_vocab".
class TokenizerTables {
 public:
  explicit TokenizerTables(const std::map<std::string, std::filesystem::path> &files);
  ~TokenizerTables();
  TokenizerTables(const TokenizerTables &) = delete;
  TokenizerTables &operator=(const TokenizerTables &) = delete;
};

}  // namespace se
