// Kernels for a GPU inside of a compiled model.
#include "tvm/gpu_code.h"

#include "target.h"

namespace {

const Target gpu_code_target("gpu_code", [](const std::string &data) { se::read_gpu_code(data.data(), data.size()); });

}  // namespace
