// Checks what ggml's CUDA backend needs of the device before ggml does: if CUDA fails, ggml ends the process.
#pragma once

#include <optional>
#include <string>

namespace se {

struct CudaRefusal {
  std::string reason;
  std::string hint;
};

// Why the CUDA code of this build cannot run here: no GPU or driver, a GPU that it was not made for, no cuBLAS.
std::optional<CudaRefusal> refused_by_cuda();

}  // namespace se
