// The part of OpenCL 1.2 that we call (Khronos OpenCL API specification), found at run time: devices bring the library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace se::cl {

using Int = int32_t;
using Uint = uint32_t;
using Ulong = uint64_t;
using Bitfield = uint64_t;
struct PlatformId;
struct DeviceId;
struct Context;
struct Queue;
struct Mem;
struct Program;
struct Kernel;
struct Event;

constexpr Int kSuccess = 0;
constexpr Int kDeviceNotAvailable = -2;
constexpr Int kMemObjectAllocationFailure = -4;
constexpr Int kOutOfResources = -5;
constexpr Int kOutOfHostMemory = -6;
constexpr Int kInvalidBufferSize = -61;

constexpr Bitfield kDeviceTypeCpu = 1 << 1;
constexpr Bitfield kDeviceTypeGpu = 1 << 2;
constexpr Bitfield kDeviceTypeAccelerator = 1 << 3;

constexpr Uint kDeviceMaxComputeUnits = 0x1002;
constexpr Uint kDeviceMaxWorkGroupSize = 0x1004;
constexpr Uint kDeviceMaxMemAllocSize = 0x1010;
constexpr Uint kDeviceImageSupport = 0x1016;
constexpr Uint kDeviceMemBaseAddrAlign = 0x1019;
constexpr Uint kDeviceGlobalMemSize = 0x101F;
constexpr Uint kDeviceLocalMemSize = 0x1023;
constexpr Uint kDeviceName = 0x102B;
constexpr Uint kDeviceVendor = 0x102C;
constexpr Uint kDriverVersion = 0x102D;
constexpr Uint kDeviceVersion = 0x102F;
constexpr Uint kDeviceExtensions = 0x1030;
constexpr Uint kDeviceHostUnifiedMemory = 0x1035;
constexpr Uint kDeviceImageMaxBufferSize = 0x1040;
constexpr Uint kPlatformName = 0x0902;
constexpr Uint kPlatformVersion = 0x0901;

constexpr Bitfield kQueueProfiling = 1 << 1;
constexpr Bitfield kMemReadWrite = 1 << 0;
constexpr Bitfield kMemReadOnly = 1 << 2;
constexpr Bitfield kMemAllocHostPtr = 1 << 4;
constexpr Bitfield kMapRead = 1 << 0;
constexpr Bitfield kMapWriteInvalidate = 1 << 2;

constexpr Uint kProgramBinarySizes = 0x1165;
constexpr Uint kProgramBinaries = 0x1166;
constexpr Uint kProgramBuildLog = 0x1183;
constexpr Uint kKernelWorkGroupSize = 0x11B0;
constexpr Uint kProfilingStart = 0x1282;
constexpr Uint kProfilingEnd = 0x1283;

constexpr Uint kBufferCreateTypeRegion = 0x1220;
constexpr Uint kMemObjectImage1dBuffer = 0x10F6;
constexpr Uint kRgba = 0x10B5;
constexpr Uint kUnsignedInt32 = 0x10DC;

struct BufferRegion {
  size_t origin, size;
};

struct ImageFormat {
  Uint channels;
  Uint type;
};

struct ImageDescription {
  Uint type;
  size_t width, height, depth, array_size, row_pitch, slice_pitch;
  Uint mip_levels, samples;
  Mem *buffer;
};

// The functions of one loaded library, under their names without the leading `cl`.
struct Api {
  Int (*GetPlatformIDs)(Uint, PlatformId **, Uint *);
  Int (*GetPlatformInfo)(PlatformId *, Uint, size_t, void *, size_t *);
  Int (*GetDeviceIDs)(PlatformId *, Bitfield, Uint, DeviceId **, Uint *);
  Int (*GetDeviceInfo)(DeviceId *, Uint, size_t, void *, size_t *);
  Context *(*CreateContext)(const intptr_t *, Uint, DeviceId *const *,
                            void (*)(const char *, const void *, size_t, void *), void *, Int *);
  Int (*ReleaseContext)(Context *);
  Queue *(*CreateCommandQueue)(Context *, DeviceId *, Bitfield, Int *);
  Int (*ReleaseCommandQueue)(Queue *);
  Mem *(*CreateBuffer)(Context *, Bitfield, size_t, void *, Int *);
  Mem *(*CreateSubBuffer)(Mem *, Bitfield, Uint, const BufferRegion *, Int *);
  Mem *(*CreateImage)(Context *, Bitfield, const ImageFormat *, const ImageDescription *, void *, Int *);
  Int (*ReleaseMemObject)(Mem *);
  Int (*EnqueueReadBuffer)(Queue *, Mem *, Uint, size_t, size_t, void *, Uint, Event *const *, Event **);
  Int (*EnqueueWriteBuffer)(Queue *, Mem *, Uint, size_t, size_t, const void *, Uint, Event *const *, Event **);
  Int (*EnqueueCopyBuffer)(Queue *, Mem *, Mem *, size_t, size_t, size_t, Uint, Event *const *, Event **);
  void *(*EnqueueMapBuffer)(Queue *, Mem *, Uint, Bitfield, size_t, size_t, Uint, Event *const *, Event **, Int *);
  Int (*EnqueueUnmapMemObject)(Queue *, Mem *, void *, Uint, Event *const *, Event **);
  Int (*EnqueueNDRangeKernel)(Queue *, Kernel *, Uint, const size_t *, const size_t *, const size_t *, Uint,
                              Event *const *, Event **);
  Int (*Flush)(Queue *);
  Int (*Finish)(Queue *);
  Program *(*CreateProgramWithSource)(Context *, Uint, const char **, const size_t *, Int *);
  Program *(*CreateProgramWithBinary)(Context *, Uint, DeviceId *const *, const size_t *, const unsigned char **, Int *,
                                      Int *);
  Int (*BuildProgram)(Program *, Uint, DeviceId *const *, const char *, void (*)(Program *, void *), void *);
  Int (*GetProgramInfo)(Program *, Uint, size_t, void *, size_t *);
  Int (*GetProgramBuildInfo)(Program *, DeviceId *, Uint, size_t, void *, size_t *);
  Int (*ReleaseProgram)(Program *);
  Kernel *(*CreateKernel)(Program *, const char *, Int *);
  Int (*SetKernelArg)(Kernel *, Uint, size_t, const void *);
  Int (*GetKernelWorkGroupInfo)(Kernel *, DeviceId *, Uint, size_t, void *, size_t *);
  Int (*ReleaseKernel)(Kernel *);
  Int (*GetEventProfilingInfo)(Event *, Uint, size_t, void *, size_t *);
  Int (*ReleaseEvent)(Event *);
};

// The device's OpenCL library, loaded once and kept. UNSUPPORTED if there is none.
const Api &api();

// The name of an error code in the specification, such as `CL_OUT_OF_RESOURCES`; the number for rare ones.
std::string error_name(Int code);

}  // namespace se::cl
