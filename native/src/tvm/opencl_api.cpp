// Loads the vendor's OpenCL library.
#include "tvm/opencl_api.h"

#include <cstdlib>
#include <map>

#include "base/opencl_libraries.h"
#include "tvm/driver_library.h"

namespace se::cl {
namespace {

bool load(const char *path, Api &api) {
  DriverLibrary library(path);
  // On Pixel phones the functions belong to a loader that must be enabled first.
  void (*enable)() = nullptr;
  if (library.find("enableOpenCL", enable)) enable();
#define SE_FIND(name) library.find("cl" #name, api.name)
  const bool whole = SE_FIND(GetPlatformIDs) && SE_FIND(GetPlatformInfo) && SE_FIND(GetDeviceIDs) &&
                     SE_FIND(GetDeviceInfo) && SE_FIND(CreateContext) && SE_FIND(ReleaseContext) &&
                     SE_FIND(CreateCommandQueue) && SE_FIND(ReleaseCommandQueue) && SE_FIND(CreateBuffer) &&
                     SE_FIND(ReleaseMemObject) && SE_FIND(EnqueueReadBuffer) && SE_FIND(EnqueueWriteBuffer) &&
                     SE_FIND(EnqueueCopyBuffer) && SE_FIND(EnqueueMapBuffer) && SE_FIND(EnqueueUnmapMemObject) &&
                     SE_FIND(EnqueueNDRangeKernel) && SE_FIND(Flush) && SE_FIND(Finish) &&
                     SE_FIND(CreateProgramWithSource) && SE_FIND(CreateProgramWithBinary) && SE_FIND(BuildProgram) &&
                     SE_FIND(GetProgramInfo) && SE_FIND(GetProgramBuildInfo) && SE_FIND(ReleaseProgram) &&
                     SE_FIND(CreateKernel) && SE_FIND(SetKernelArg) && SE_FIND(GetKernelWorkGroupInfo) &&
                     SE_FIND(ReleaseKernel) && SE_FIND(GetEventProfilingInfo) && SE_FIND(ReleaseEvent);
#undef SE_FIND
  // Part of OpenCL 1.2; with a driver that lacks it, kernels read buffers.
  library.find("clCreateImage", api.CreateImage);
  // Part of OpenCL 1.1; with a driver that lacks it, sequences are decoded one after the other.
  library.find("clCreateSubBuffer", api.CreateSubBuffer);
  return library.keep_if(whole);
}

}  // namespace

const Api &api() {
  static const Error missing(SE_UNSUPPORTED, "no OpenCL library is installed",
                             "install the GPU's driver; an Android app declares libOpenCL.so as <uses-native-library>");
  return loaded_once<Api>(kLibraries, load, missing);
}

std::string error_name(Int code) {
  static const std::map<Int, std::string> names = {
      {-1, "CL_DEVICE_NOT_FOUND"},
      {-2, "CL_DEVICE_NOT_AVAILABLE"},
      {-4, "CL_MEM_OBJECT_ALLOCATION_FAILURE"},
      {-5, "CL_OUT_OF_RESOURCES"},
      {-6, "CL_OUT_OF_HOST_MEMORY"},
      {-10, "CL_IMAGE_FORMAT_NOT_SUPPORTED"},
      {-11, "CL_BUILD_PROGRAM_FAILURE"},
      {-14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"},
      {-30, "CL_INVALID_VALUE"},
      {-36, "CL_INVALID_COMMAND_QUEUE"},
      {-38, "CL_INVALID_MEM_OBJECT"},
      {-40, "CL_INVALID_IMAGE_SIZE"},
      {-42, "CL_INVALID_BINARY"},
      {-46, "CL_INVALID_KERNEL_NAME"},
      {-51, "CL_INVALID_ARG_SIZE"},
      {-54, "CL_INVALID_WORK_GROUP_SIZE"},
      {-61, "CL_INVALID_BUFFER_SIZE"},
      {-1001, "CL_PLATFORM_NOT_FOUND_KHR"},
  };
  const auto found = names.find(code);
  return found == names.end() ? "OpenCL error " + std::to_string(code) : found->second;
}

}  // namespace se::cl
