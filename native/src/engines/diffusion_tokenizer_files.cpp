// Replaces stable-diffusion.cpp's tokenizers/vocab/vocab.cpp (130 MB of source text), and its readers of PyTorch's
// pickles, which do not belong in a runtime.
#include "engines/diffusion_tokenizer_files.h"

#include <vector>

#include "base/file.h"
#include "base/sha256.h"
#include "base/status.h"
#include "model_io/torch_legacy_io.h"
#include "model_io/torch_zip_io.h"
#include "tokenizers/vocab/vocab.h"

namespace se {
namespace {

constexpr uint64_t kLargestFile = 64 << 20;

thread_local const std::map<std::string, std::filesystem::path> *current = nullptr;

// The tokenizers index by what these files contain without checking it, so only the known files are accepted.
const std::map<std::string, std::string> kSha256 = {
    {"clip_merges", "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a"},
    {"t5_json", "fe2ebbbbde2985be723e0ce18217853e4020c5e9d35bd07be2c27ab9d3ead57a"},
    {"qwen2_merges", "599bab54075088774b1733fde865d5bd747cbcc7a547c5bc12610e874e26f5e3"},
    {"mistral_merges", "ac79ec80145198ae5419ce3433b56fa092d415d5ef483b58cb7a4a0dc0df5b7b"},
    {"mistral_vocab", "4e4dff59cfaa56c8ed81da3bfade724bc6ca3b3f88f1e7390afb25075454dd4e"},
};

std::string tokenizer_file(const std::string &name) {
  if (current == nullptr) throw Error(SE_INTERNAL, "no model is being opened");
  const auto found = current->find(name);
  if (found == current->end()) {
    throw Error(SE_MODEL_CORRUPT, "the bundle has no tokenizer file " + ticked(name), "package the model again");
  }
  std::string content = read_file(found->second, kLargestFile);
  if (sha256(content) != kSha256.at(name)) {
    throw Error(SE_MODEL_CORRUPT, "the tokenizer file " + ticked(name) + " is not the one that this runtime knows",
                "package the model again");
  }
  return content;
}

}  // namespace

TokenizerFiles::TokenizerFiles(const std::map<std::string, std::filesystem::path> &files) { current = &files; }
TokenizerFiles::~TokenizerFiles() { current = nullptr; }

}  // namespace se

std::string load_clip_merges() { return se::tokenizer_file("clip_merges"); }
std::string load_qwen2_merges() { return se::tokenizer_file("qwen2_merges"); }
std::string load_mistral_merges() { return se::tokenizer_file("mistral_merges"); }
std::string load_mistral_vocab_json() { return se::tokenizer_file("mistral_vocab"); }
std::string load_t5_tokenizer_json() { return se::tokenizer_file("t5_json"); }
std::string load_umt5_tokenizer_json() { return std::string(); }

bool is_torch_zip_file(const std::string &) { return false; }
bool read_torch_zip_file(const std::string &, std::vector<TensorStorage> &, std::string *) { return false; }
bool read_torch_legacy_file(const std::string &, std::vector<TensorStorage> &, std::string *) { return false; }
