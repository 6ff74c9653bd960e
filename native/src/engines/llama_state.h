// The keys and values of one sequence of llama.cpp, for a file: checked, because llama.cpp trusts them in part, and
// without what depends on how many sequences a context has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace se {

// From what llama_state_seq_get_data wrote. UNSUPPORTED for what is not a plain cache of keys and values, or two where
// some layers have a sliding window.
std::vector<std::byte> portable_state(std::span<const std::byte> state, uint32_t tokens);

// The other way round, for a context where llama_state_seq_get_data writes `empty` for the sequence. MODEL_CORRUPT when
// `portable` is not the keys and values of tokens at positions 0 to `tokens` - 1.
std::vector<std::byte> llama_state(std::span<const std::byte> portable, uint32_t tokens,
                                   std::span<const std::byte> empty);

}  // namespace se
