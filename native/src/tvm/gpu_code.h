// What TVM's compiler has written of a GPU's kernels: format, names with the types of their arguments, and the code.
#pragma once

#include <dlpack/dlpack.h>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace se {

struct GpuSignature {
  std::vector<DLDataType> arguments;
  // Where the numbers that follow the arguments go: 0-2 groups along x, y, z, 3-5 threads.
  std::vector<unsigned> extents;
};

struct GpuCodeParts {
  std::string format;
  std::map<std::string, GpuSignature> signatures;
  // All kernels together; or, for Metal, each by itself.
  std::string code;
  std::map<std::string, std::string> sources;
};

// MODEL_CORRUPT for what is something else.
GpuCodeParts read_gpu_code(const char *data, size_t bytes);

[[noreturn]] void refuse_gpu_code();

}  // namespace se
