// A compiled model on an NVIDIA GPU.
#include "tvm/cuda_program.h"
#include "tvm/gpu_backend.h"

namespace se {
namespace {

struct CudaTraits {
  static constexpr char kName[] = "cuda";
  static constexpr DLDeviceType kDevice = kDLCUDA;
  static constexpr char kFormat[] = "cubin";
  static constexpr bool kReplaces = false;
  using Device = cuda::Device;
  using Buffer = cuda::Buffer;
  using Programs = cuda::Cubin;
};

}  // namespace

std::unique_ptr<DeviceBackend> cuda_backend() {
  return late_gpu_backend<CudaTraits>(
      Error(SE_UNSUPPORTED, "TVM's own CUDA runtime is loaded in this process", "run the model in another process"));
}

}  // namespace se
