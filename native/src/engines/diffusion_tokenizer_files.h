// The vocab and merges files of stable-diffusion.cpp's tokenizers, read from the bundle. Upstream compiles them in,
// which would be 20 MB of which a model uses a tenth.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace se {

// While it lives, models that this thread opens read these files: "clip_merges", "t5_json", "qwen2_merges",
// "mistral_merges", "mistral_vocab".
class TokenizerFiles {
 public:
  explicit TokenizerFiles(const std::map<std::string, std::filesystem::path> &files);
  ~TokenizerFiles();
  TokenizerFiles(const TokenizerFiles &) = delete;
  TokenizerFiles &operator=(const TokenizerFiles &) = delete;
};

}  // namespace se
