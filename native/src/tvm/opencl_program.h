// OpenCL C built for one device: once per driver, then taken from a cache on disk.
#pragma once

#include <map>
#include <string>

#include "tvm/gpu_code.h"
#include "tvm/opencl_device.h"

namespace se::cl {

// Used by one thread at a time.
class BuiltProgram {
 public:
  // `options` as the compiler takes them. LOAD_FAILED with its message if the driver rejects the source.
  BuiltProgram(Device &device, const GpuCodeParts &parts, const std::string &options);
  ~BuiltProgram();
  BuiltProgram(const BuiltProgram &) = delete;
  BuiltProgram &operator=(const BuiltProgram &) = delete;

  // MODEL_CORRUPT for an unknown kernel.
  Kernel *kernel(const std::string &name);

 private:
  bool build(Program *program, std::string *log);

  Device &device_;
  std::string options_;
  Program *program_ = nullptr;
  std::map<std::string, Kernel *> kernels_;
};

}  // namespace se::cl
