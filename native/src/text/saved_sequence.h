// A conversation in a file: its tokens and their keys and values, bound to a model and hashed.
//
// A header (SavedHeader in the .cpp), the token ids as int32, the keys and values as the engine writes them, and the
// SHA-256 of all this in hexadecimal. Little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace se {

// What keys and values depend on.
struct SavedModel {
  std::string id;      // a SHA-256: of the bundle or, for a GGUF without one, of the file
  std::string engine;  // with its backend: "tvm on cpu"
  uint32_t context_tokens;
  uint64_t most_state_bytes;
};

struct SavedSequence {
  std::vector<int32_t> tokens;
  std::vector<std::byte> state;
};

// Writes beside `path`, then renames: whoever reads it sees the old file or the new one. STORAGE.
void write_sequence(const std::filesystem::path &path, const SavedModel &model, const SavedSequence &sequence);

// NOT_FOUND, MODEL_CORRUPT (damaged, or no such file of ours), FORMAT_MISMATCH (of another model or engine),
// INVALID_ARGUMENT (too long for the context).
SavedSequence read_sequence(const std::filesystem::path &path, const SavedModel &model);

// Tells GGUF files apart without reading all of one: a hash of its size, of its first megabyte, which has the metadata,
// and of 1,024 blocks of 4 KiB spread evenly over it.
std::string gguf_id(const std::filesystem::path &path);

}  // namespace se
