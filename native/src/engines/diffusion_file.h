// What an image model's file contains, and its conversion from the files that models are published in: by
// stable-diffusion.cpp's own names for their tensors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace se {

struct DiffusionFacts {
  std::string family;          // "sd1", "sdxl", "flux", …
  bool inpaints = false;       // made for inpainting: needs an initial image and a mask
  bool has_encoder = false;    // its VAE can also encode images
  bool has_guidance = false;   // distilled: takes a guidance instead of a cfg scale
  uint32_t size_multiple = 8;  // of width and height
  // Channels of the VAE's decoder at full size.
  uint32_t vae_width = 0;
  // Of the widest attention: pixels per token along one side, heads, and the width of the layers around it.
  uint32_t patch = 8;
  uint32_t heads = 0;
  uint32_t width = 0;
  std::string commonest_type;  // of the matrices, by parameters, e.g. "q8_0"
  uint64_t tensor_bytes = 0;
  uint64_t parameters = 0;
};

// Names of the vocab and merges files of a family's tokenizers, see TokenizerFiles.
std::vector<std::string> tokenizer_files_of(const std::string &family);

// Checks that `file`, a GGUF file with stable-diffusion.cpp's names, has all parts of a model. MODEL_CORRUPT: a part
// is missing or damaged; UNSUPPORTED: a family that is known but not offered (video, editing, control).
DiffusionFacts inspect_diffusion(const std::filesystem::path &file);

// Checks that `file` (safetensors or GGUF) is whole. MODEL_CORRUPT.
void check_lora(const std::filesystem::path &file);

struct DiffusionPart {
  std::filesystem::path path;  // safetensors or GGUF
  std::string prefix;          // prepended to the names of its tensors; empty for a whole checkpoint
};

// Merges `parts` into one GGUF file with stable-diffusion.cpp's names, one tensor in memory at a time. `type`: a ggml
// type such as "q8_0" for the matrices of the diffusion model and of the text encoders, "" to leave all unchanged;
// the VAE is never changed. `on_progress` gets bytes written and total bytes; false stops with CANCELLED.
void convert_diffusion(const std::vector<DiffusionPart> &parts, const std::string &type,
                       const std::filesystem::path &output,
                       const std::function<bool(uint64_t done, uint64_t total)> &on_progress);

}  // namespace se
