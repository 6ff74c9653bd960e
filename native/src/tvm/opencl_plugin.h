// Gives TVM's runtime, whose wheels bring none, the device `opencl` and modules of OpenCL C.
#pragma once

#include "tvm/gpu_plugin.h"
#include "tvm/opencl_kernels.h"

namespace se {

struct OpenclTraits {
  static constexpr char kName[] = "opencl";
  static constexpr DLDeviceType kDevice = kDLOpenCL;
  static constexpr char kFormat[] = "cl";
  static constexpr bool kReplaces = false;
  using Device = cl::Device;
  using Buffer = cl::Buffer;
  using Programs = cl::KernelSet;
};

// Whether TVM's runtime uses this library's device: no other copy of it in the process registered first.
bool opencl_is_ours();

}  // namespace se
