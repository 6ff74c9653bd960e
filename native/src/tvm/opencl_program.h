// The kernels of one compiled model: built from OpenCL C once per driver, then taken from a cache on disk.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gpu_code.h"
#include "gpu_types.h"
#include "opencl_device.h"

namespace se::cl {

class KernelSet {
 public:
  // Builds the source. LOAD_FAILED with the compiler's words when the driver refuses it.
  KernelSet(Device &device, const GpuCodeParts &parts);
  ~KernelSet();
  KernelSet(const KernelSet &) = delete;
  KernelSet &operator=(const KernelSet &) = delete;

  // Queues one run of `groups` groups of `threads` threads, along three axes. MODEL_CORRUPT for a kernel that is not
  // there; else as Device::launch.
  void run(const std::string &name, const std::vector<GpuArgument> &arguments, const size_t *groups,
           const size_t *threads);
  bool came_from_cache() const { return came_from_cache_; }

 private:
  Kernel *kernel(const std::string &name);
  bool build(Program *program, std::string *log);

  Device &device_;
  Program *program_ = nullptr;
  bool came_from_cache_ = false;
  std::mutex mutex_;
  std::map<std::string, Kernel *> kernels_;
};

}  // namespace se::cl
