// The OpenCL functions that ggml calls by name, each forwarded to the library of the device's driver. Without a driver
// they report that there is no platform, so a runtime with this backend also starts on machines without OpenCL.
#include <CL/cl.h>
#include <dlfcn.h>

#include "base/opencl_libraries.h"

namespace {

// Khronos' own loader returns this if no driver is installed (cl_khr_icd: CL_PLATFORM_NOT_FOUND_KHR).
constexpr cl_int kNoPlatform = -1001;

void *find_library() {
  for (const char *path : se::cl::kLibraries) {
    void *library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) continue;
    // On Pixel phones the functions belong to a loader that must be enabled first.
    if (void *enable = ::dlsym(library, "enableOpenCL"); enable != nullptr) reinterpret_cast<void (*)()>(enable)();
    if (::dlsym(library, "clGetPlatformIDs") != nullptr) return library;
    ::dlclose(library);
  }
  return nullptr;
}

template <typename Function>
Function entry_point(const char *name) {
  // `static` per type of function: the system counts openings of one library.
  static void *const library = find_library();
  return library == nullptr ? nullptr : reinterpret_cast<Function>(::dlsym(library, name));
}

}  // namespace

// A library of OpenCL 1.2 or 2.0 lacks the newest functions; ggml calls those only if the device has them.
#define SE_CL_DEFINE_STATUS(name, parameters, arguments)                   \
  extern "C" cl_int cl##name parameters {                                  \
    static const auto call = entry_point<decltype(&cl##name)>("cl" #name); \
    return call == nullptr ? kNoPlatform : call arguments;                 \
  }
#define SE_CL_DEFINE_OBJECT(result, name, parameters, arguments)           \
  extern "C" result cl##name parameters {                                  \
    static const auto call = entry_point<decltype(&cl##name)>("cl" #name); \
    if (call != nullptr) return call arguments;                            \
    if (error != nullptr) *error = CL_INVALID_OPERATION;                   \
    return nullptr;                                                        \
  }
SE_CL_FUNCTIONS(SE_CL_DEFINE_STATUS, SE_CL_DEFINE_OBJECT)
