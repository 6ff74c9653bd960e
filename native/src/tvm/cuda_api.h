// The part of CUDA's driver API that we call (CUDA Driver API reference), found at run time: the driver brings the
// library. No CUDA toolkit and no runtime library is needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace se::cuda {

using Result = int;
using Address = uint64_t;
struct Context;
struct Module;
struct Function;
struct Event;
struct Stream;

constexpr Result kSuccess = 0;
constexpr Result kOutOfMemory = 2;
constexpr Result kNoDevice = 100;
constexpr Result kInvalidImage = 200;
constexpr Result kNoBinaryForGpu = 209;
// Results from here on are failures of a kernel, after which the context is unusable.
constexpr Result kFirstFatal = 700;
constexpr Result kLastFatal = 720;
constexpr Result kUnknown = 999;

constexpr int kComputeCapabilityMajor = 75;
constexpr int kComputeCapabilityMinor = 76;

struct Api {
  Result (*Init)(unsigned);
  Result (*DriverGetVersion)(int *);
  Result (*DeviceGet)(int *, int);
  Result (*DeviceGetName)(char *, int, int);
  Result (*DeviceGetAttribute)(int *, int, int);
  Result (*DeviceTotalMem_v2)(size_t *, int);
  Result (*DevicePrimaryCtxRetain)(Context **, int);
  Result (*CtxSetCurrent)(Context *);
  Result (*CtxSynchronize)();
  Result (*MemAlloc_v2)(Address *, size_t);
  Result (*MemFree_v2)(Address);
  Result (*MemcpyHtoD_v2)(Address, const void *, size_t);
  Result (*MemcpyDtoH_v2)(void *, Address, size_t);
  Result (*MemcpyDtoDAsync_v2)(Address, Address, size_t, Stream *);
  Result (*MemsetD8_v2)(Address, unsigned char, size_t);
  Result (*ModuleLoadData)(Module **, const void *);
  Result (*ModuleUnload)(Module *);
  Result (*ModuleGetFunction)(Function **, Module *, const char *);
  Result (*LaunchKernel)(Function *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Stream *,
                         void **, void **);
  Result (*EventCreate)(Event **, unsigned);
  Result (*EventRecord)(Event *, Stream *);
  Result (*EventSynchronize)(Event *);
  Result (*EventElapsedTime)(float *, Event *, Event *);
  Result (*EventDestroy_v2)(Event *);
  Result (*GetErrorName)(Result, const char **);
};

// The driver's library, loaded once and kept. UNSUPPORTED if there is none.
const Api &api();

// The name of an error code in the reference, such as `CUDA_ERROR_OUT_OF_MEMORY`.
std::string error_name(Result code);

}  // namespace se::cuda
