// GPU kernels as TVM's compiler writes them: format, names with the types of their arguments, and the code.
#pragma once

#include <dlpack/dlpack.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace se {

struct GpuSignature {
  std::vector<DLDataType> arguments;
  // The meaning of the numbers after the arguments: 0-2 groups along x, y, z, 3-5 threads.
  std::vector<unsigned> extents;
};

struct GpuCodeParts {
  std::string format;
  std::map<std::string, GpuSignature> signatures;
  // All kernels together; or, for Metal, each by itself.
  std::string code;
  std::map<std::string, std::string> sources;
  // For what the driver compiles; empty: none. That of the open that loaded the code.
  std::filesystem::path cache_folder;
};

// MODEL_CORRUPT for anything else.
GpuCodeParts read_gpu_code(const char *data, size_t bytes);

[[noreturn]] void refuse_gpu_code();

}  // namespace se
