// A compiled model on an NVIDIA GPU.
#include "cuda_program.h"
#include "gpu_place.h"
#include "gpu_plugin.h"

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

std::unique_ptr<TvmPlace> cuda_place() {
  // Not earlier: a Python that compiles for CUDA loads TVM's own, which ends the process if the names are taken.
  static const bool is_ours = register_gpu<CudaTraits>();
  if (!is_ours) {
    throw Error(SE_UNSUPPORTED, "TVM's own CUDA runtime is loaded in this process", "run the model in another process");
  }
  return std::make_unique<GpuPlace<CudaTraits>>(cuda::Device::open());
}

}  // namespace se
