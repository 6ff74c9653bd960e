// The names and splits of diffusers' and transformers' files that stable-diffusion.cpp does not know: it knows those of
// UNets, of image VAEs and (for LoRAs) of transformers, whose matrices it expects joined.
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

// Renames what stable-diffusion.cpp does not know by other names: language models inside larger ones, CLIP as newer
// transformers writes it, the VAE of Qwen-Image. Drops vision encoders. Names have their parts'
// prefixes and are not stable-diffusion.cpp's own yet.
void rename_transformers(String2TensorStorage &tensors);

// The family of a diffusion model in diffusers' layout, if stable-diffusion.cpp does not detect it itself;
// VERSION_COUNT if it does.
SDVersion version_of_diffusers(const String2TensorStorage &tensors);

// After the tensors of a model of `version` got their own names from diffusers': joins what diffusers splits, and turns
// scale and shift, which it has the other way round. What has to be read for a tensor of these is returned by its name.
// UNSUPPORTED: a tensor that the family does not have; MODEL_CORRUPT: a piece is missing or does not fit the others.
std::map<std::string, Composition> compose(String2TensorStorage &tensors, SDVersion version);

}  // namespace se
