// Finds cuBLAS on the device and passes on what ggml calls of it; looks whether the GPU takes the code of this build.
#include "engines/ggml_cuda.h"

#include <cublas_v2.h>
#include <dlfcn.h>

#include <string_view>

// Of CUDA's runtime, which is linked in; its headers are not needed for three functions.
extern "C" {
int cudaGetDeviceCount(int *count);
int cudaDeviceGetAttribute(int *value, int attribute, int device);
const char *cudaGetErrorString(int status);
}

namespace {

// cudaDevAttrComputeCapabilityMajor and -Minor (NVIDIA, CUDA Runtime API).
constexpr int kMajor = 75;
constexpr int kMinor = 76;
// JetPack and NVIDIA's packages put them where the loader looks, or below /usr/local/cuda. CUDA 12's runs with the
// drivers of 12 and of 13.
constexpr const char *kLibraries[] = {"libcublas.so.12", "libcublas.so.13", "/usr/local/cuda/lib64/libcublas.so.12",
                                      "/usr/local/cuda/lib64/libcublas.so.13"};

void *find_library() {
  for (const char *path : kLibraries) {
    void *library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr && ::dlsym(library, "cublasCreate_v2") != nullptr) return library;
    if (library != nullptr) ::dlclose(library);
  }
  return nullptr;
}

void *cublas() {
  static void *const library = find_library();
  return library;
}

template <typename Function>
Function entry_point(const char *name) {
  return cublas() == nullptr ? nullptr : reinterpret_cast<Function>(::dlsym(cublas(), name));
}

// Machine code runs on later GPUs of the same major number, but for that of an architecture with an `a` at its end,
// which is for that GPU alone (NVIDIA, CUDA C++ Programming Guide, binary compatibility).
bool runs_on(int major, int minor) {
  const std::string_view made = SE_CUDA_ARCHITECTURE;
  int number = 0;
  for (const char digit : made.substr(std::string_view("sm_").size())) {
    if (digit != 'a') number = number * 10 + (digit - '0');
  }
  const bool is_later = number % 10 <= minor && made.back() != 'a';
  return number / 10 == major && (is_later || number % 10 == minor);
}

}  // namespace

namespace se {

std::optional<CudaRefusal> refused_by_cuda() {
  int count = 0, major = 0, minor = 0;
  int status = ::cudaGetDeviceCount(&count);
  if (status == 0 && count > 0) status = ::cudaDeviceGetAttribute(&major, kMajor, 0);
  if (status == 0 && count > 0) status = ::cudaDeviceGetAttribute(&minor, kMinor, 0);
  if (status != 0 || count == 0) {
    const std::string why = status == 0 ? "" : std::string(": ") + ::cudaGetErrorString(status);
    return CudaRefusal{"`cuda` finds no GPU here" + why, "install NVIDIA's driver, or open with cpu"};
  }
  if (!runs_on(major, minor)) {
    const std::string there = "sm_" + std::to_string(major * 10 + minor);
    return CudaRefusal{
        "this build of the runtime has CUDA code for `" SE_CUDA_ARCHITECTURE "`, and the GPU is `" + there + "`",
        "build one for it: sphere-edge runtime build --ggml-gpu cuda:" + there};
  }
  if (cublas() == nullptr) {
    return CudaRefusal{"`cuda` needs NVIDIA's cuBLAS, and there is neither `libcublas.so.12` nor `libcublas.so.13`",
                       "install it (on a Jetson: apt-get install nvidia-jetpack), or open with cpu"};
  }
  return std::nullopt;
}

}  // namespace se

#define SE_CUBLAS_DEFINE(name, parameters, arguments)                        \
  extern "C" cublasStatus_t name parameters {                                \
    static const auto call = entry_point<decltype(&name)>(#name);            \
    return call == nullptr ? CUBLAS_STATUS_NOT_INITIALIZED : call arguments; \
  }
SE_CUBLAS_FUNCTIONS(SE_CUBLAS_DEFINE)

extern "C" const char *cublasGetStatusString(cublasStatus_t status) {
  static const auto call = entry_point<decltype(&cublasGetStatusString)>("cublasGetStatusString");
  return call == nullptr ? "cuBLAS is not here" : call(status);
}
