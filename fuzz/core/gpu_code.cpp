// Kernels for a GPU inside of a compiled model.
#include "tvm/gpu_code.h"

#include "target.h"

void read(const std::string &data) { se::read_gpu_code(data.data(), data.size()); }
