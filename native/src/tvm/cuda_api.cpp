// Loads the driver's library from where Linux and NVIDIA's boards install it.
#include "tvm/cuda_api.h"

#include <array>

#include "tvm/driver_library.h"

namespace se::cuda {
namespace {

constexpr std::array kLibraries = {"libcuda.so.1", "/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1", "libcuda.so"};

bool load(const char *path, Api &api) {
  DriverLibrary library(path);
#define SE_FIND(name) library.find("cu" #name, api.name)
  const bool whole = SE_FIND(Init) && SE_FIND(DriverGetVersion) && SE_FIND(DeviceGet) && SE_FIND(DeviceGetName) &&
                     SE_FIND(DeviceGetAttribute) && SE_FIND(DeviceTotalMem_v2) && SE_FIND(DevicePrimaryCtxRetain) &&
                     SE_FIND(CtxSetCurrent) && SE_FIND(CtxSynchronize) && SE_FIND(MemAlloc_v2) && SE_FIND(MemFree_v2) &&
                     SE_FIND(MemcpyHtoD_v2) && SE_FIND(MemcpyDtoH_v2) && SE_FIND(MemcpyDtoDAsync_v2) &&
                     SE_FIND(MemsetD8_v2) && SE_FIND(ModuleLoadData) && SE_FIND(ModuleUnload) &&
                     SE_FIND(ModuleGetFunction) && SE_FIND(LaunchKernel) && SE_FIND(EventCreate) &&
                     SE_FIND(EventRecord) && SE_FIND(EventSynchronize) && SE_FIND(EventElapsedTime) &&
                     SE_FIND(EventDestroy_v2) && SE_FIND(GetErrorName);
#undef SE_FIND
  return library.keep_if(whole);
}

}  // namespace

const Api &api() {
  static const Error missing(SE_UNSUPPORTED, "no CUDA driver is installed here",
                             "install NVIDIA's driver, or JetPack on a Jetson");
  return loaded_once<Api>(kLibraries, load, missing);
}

std::string error_name(Result code) {
  const char *name = nullptr;
  if (api().GetErrorName(code, &name) == kSuccess && name != nullptr) return name;
  return "CUDA error " + std::to_string(code);
}

}  // namespace se::cuda
