// The file of an image encoder (a model's `mmproj`), checked before llama.cpp, which trusts it, reads it.
#pragma once

#include <filesystem>
#include <string>

#include "formats/gguf.h"

namespace se {

// The architecture of such a file.
constexpr const char *kImageEncoder = "clip";

// Checks the numbers that llama.cpp divides by, and the tensors that it takes for granted beside those that its
// computation uses, which engines/vision_steps.h looks at. UNSUPPORTED for another file; MODEL_CORRUPT.
void check_image_encoder(const GgufHeader &header, const std::filesystem::path &path);

// How such an encoder fits its vectors to the text model, "mlp"; empty if the file does not say it.
std::string image_projector(const GgufHeader &header);

}  // namespace se
