// Computes what of a prompt a sequence does not hold yet.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text/decoder.h"

namespace se {

// Returns the logits after the prompt's last token; `cached_tokens` of the prompt had been computed by an earlier call.
// The sequence then holds the prompt. Throws what the engine throws; the sequence knows how far it came.
std::vector<float> prefill(const Decoder &decoder, std::span<const int32_t> prompt, uint32_t &cached_tokens);

}  // namespace se
