// The kernels of one compiled model on an OpenCL device, including the textures of those that read weights as images.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "tvm/gpu_code.h"
#include "tvm/gpu_types.h"
#include "tvm/opencl_program.h"

namespace se::cl {

class KernelSet {
 public:
  // Builds the source; `parts` must live as long. Throws as BuiltProgram does.
  KernelSet(Device &device, const GpuCodeParts &parts);
  KernelSet(const KernelSet &) = delete;
  KernelSet &operator=(const KernelSet &) = delete;

  // Queues one run of `groups` groups of `threads` threads, along three axes. MODEL_CORRUPT for an unknown kernel;
  // otherwise as Device::launch.
  void run(const std::string &name, const std::vector<GpuArgument> &arguments, const size_t *groups,
           const size_t *threads);

 private:
  // Fills in the images that the kernel reads. False if one cannot be made: the kernel reads buffers from then on.
  bool take_images(const std::string &name, const std::vector<GpuArgument> &arguments, std::vector<Mem *> &images);

  Device &device_;
  const GpuCodeParts &parts_;
  // Per kernel the indices of the arguments that it reads as textures.
  std::map<std::string, std::vector<size_t>> textures_;
  BuiltProgram usual_;
  // The same source without textures, and the kernels that use it.
  std::unique_ptr<BuiltProgram> buffers_only_;
  std::set<std::string> read_buffers_;
  std::mutex mutex_;
};

}  // namespace se::cl
