// A compiled model on an OpenCL device.
#include "tvm/gpu_backend.h"
#include "tvm/opencl_plugin.h"

namespace se {

std::unique_ptr<DeviceBackend> opencl_backend(bool half) {
  // The other copy of the library would load the kernels, and its device does not know our buffers.
  if (!opencl_is_ours()) {
    throw Error(SE_UNSUPPORTED, "another copy of this runtime has OpenCL in this process",
                "run the model in another process");
  }
  cl::Device &gpu = cl::Device::open();
  if (half && !gpu.computes_half()) {
    throw Error(SE_UNSUPPORTED, "the GPU " + ticked(gpu.name()) + " does not compute in float16",
                "package for a profile whose gpu has half_precision = false");
  }
  return std::make_unique<GpuBackend<OpenclTraits>>(gpu);
}

}  // namespace se
