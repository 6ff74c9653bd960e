// The header of a GGUF file, fully checked before llama.cpp, which trusts it and may abort, reads the file.
//
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace se {

struct GgufArray {
  uint32_t element_type;
  uint64_t count;
};

struct GgufHeader {
  std::map<std::string, std::string> strings;
  std::map<std::string, uint64_t> counts;  // whole numbers, not negative; 1: true
  std::map<std::string, double> reals;
  std::map<std::string, GgufArray> arrays;
  std::map<std::string, std::vector<uint64_t>> shapes;  // of tensors, the rows' length first
  std::string architecture;
  uint64_t parameters = 0;
  uint64_t tensor_bytes = 0;
  uint64_t file_bytes = 0;
  std::string commonest_type;  // of the matrices, by parameters, e.g. "q4_0"; empty without tensors

  // Empty if there is none.
  std::string string(const std::string &key) const;
  std::optional<uint64_t> count(const std::string &key) const;
  // Any number; none too where the key is of something else.
  std::optional<double> number(const std::string &key) const;
  bool has(const std::string &key) const;
  // A key of this architecture, e.g. hyperparameter("context_length") for "llama.context_length".
  std::optional<uint64_t> hyperparameter(const std::string &key) const;
  uint64_t vocabulary_size() const;
};

// Reads and checks the header of a file that may not be for llama.cpp: its `architecture` may be empty or unknown.
GgufHeader read_gguf_tensors(const std::filesystem::path &path);

// Reads and checks the header, of a split model that of every part (`path` is the first). MODEL_CORRUPT: wrong magic,
// truncated, overlapping or outside of the file, contradicting itself; UNSUPPORTED: another version, or an architecture
// that llama.cpp does not know; NOT_FOUND.
GgufHeader read_gguf(const std::filesystem::path &path);

// Whether the file begins like a GGUF file.
bool has_gguf_magic(const std::filesystem::path &path);

// Checks what a tokenizer needs: tokens, and lists of the same length about them, which llama.cpp does not compare.
// MODEL_CORRUPT.
void check_gguf_vocabulary(const GgufHeader &header, const std::filesystem::path &path);

// Checks what a model needs as well: weights and valid dimensions. MODEL_CORRUPT.
void check_gguf_model(const GgufHeader &header, const std::filesystem::path &path);

}  // namespace se
