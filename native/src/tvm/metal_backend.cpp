// A compiled model on Apple's GPU.
#include "tvm/gpu_backend.h"
#include "tvm/metal_program.h"

namespace se {
namespace {

struct MetalTraits {
  static constexpr char kName[] = "metal";
  static constexpr DLDeviceType kDevice = kDLMetal;
  static constexpr char kFormat[] = "metal";
  // TVM's wheels for macOS have one of their own, whose buffers are not ours.
  static constexpr bool kReplaces = true;
  using Device = metal::Device;
  using Buffer = metal::Buffer;
  using Programs = metal::Library;
};

}  // namespace

std::unique_ptr<DeviceBackend> metal_backend() {
  return late_gpu_backend<MetalTraits>(Error(SE_INTERNAL, "TVM's runtime does not take our Metal device"));
}

}  // namespace se
