// Computes what of a prompt a sequence does not hold yet.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engines/image_encoder.h"
#include "text/decoder.h"

namespace se {

// Where an image stands in a prompt. Its tokens have one of ImageNumbers.
struct PromptImage {
  size_t begin;
  uint32_t token_count;
  std::shared_ptr<const ImagePart> part;
};

// The images of a prompt in order, and who encodes them; text follows the last one.
struct PromptImages {
  std::span<const PromptImage> placed = {};
  std::function<ImageEmbeddings(const ImagePart &)> encode = {};
};

// Returns the logits after the prompt's last token; `cached_tokens` of the prompt had been computed by an earlier call.
// The sequence then holds the prompt. Throws what the engine throws; the sequence knows how far it came.
std::vector<float> prefill(const Decoder &decoder, std::span<const int32_t> prompt, uint32_t &cached_tokens,
                           const PromptImages &images = {});

}  // namespace se
