// The names and splits of diffusers' and transformers' files, as stable-diffusion.cpp has none for: it knows those of
// UNets, of VAEs with images in mind and (for LoRAs) of transformers, whose matrices it expects joined.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model.h"

namespace se {

// Tensors of files that become one tensor: their rows one after the other, or, of one tensor, its two halves swapped.
struct Composition {
  std::vector<TensorStorage> pieces;
  bool swaps_halves = false;
};

// Renames what stable-diffusion.cpp has no other names for: language models inside larger ones, CLIP as newer
// transformers writes it, the VAE of Qwen-Image. Leaves out what only looks at pictures. Names have their parts'
// prefixes and are not stable-diffusion.cpp's own yet.
void rename_transformers(String2TensorStorage &tensors);

// Of which family a diffusion model in diffusers' layout is, where stable-diffusion.cpp would not find out by itself;
// VERSION_COUNT: it does.
SDVersion version_of_diffusers(const String2TensorStorage &tensors);

// After the tensors of a model of `version` got their own names from diffusers': joins what diffusers splits, and turns
// scale and shift, which it has the other way round. What has to be read for a tensor of these is returned by its name.
// UNSUPPORTED: a tensor that the family has not; MODEL_CORRUPT: a piece is missing or does not fit the others.
std::map<std::string, Composition> compose(String2TensorStorage &tensors, SDVersion version);

}  // namespace se
