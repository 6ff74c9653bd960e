// Weights from safetensors files, mapped into memory and used without copying.
//
// Format: https://huggingface.co/docs/safetensors (8-byte header length, JSON header, data).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"

namespace se {

struct WeightTensor {
  std::string dtype;  // as in the format: F32, F16, U32, I8, …
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

class WeightFiles {
 public:
  // Maps and checks every file. MODEL_CORRUPT: a damaged header, a tensor outside of its file, a duplicate
  // name.
  explicit WeightFiles(const std::vector<std::filesystem::path> &paths);

  // MODEL_CORRUPT if there is no tensor of that name.
  const WeightTensor &tensor(const std::string &name) const;
  uint64_t total_bytes() const { return total_bytes_; }

 private:
  void add(const MappedFile &file, const std::string &name);

  std::vector<MappedFile> files_;
  std::map<std::string, WeightTensor> tensors_;
  uint64_t total_bytes_ = 0;
};

// Bits per element of a safetensors dtype; 0 if it is unknown.
uint32_t dtype_bits(const std::string &dtype);

}  // namespace se
