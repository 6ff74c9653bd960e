// The kernels of one compiled model: machine code (a cubin) for one architecture, made when the model was packaged.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "tvm/cuda_device.h"
#include "tvm/gpu_code.h"

namespace se::cuda {

class Cubin {
 public:
  // LOAD_FAILED if the driver rejects it, as one older than the compiler does.
  Cubin(Device &device, const GpuCodeParts &parts);
  ~Cubin();
  Cubin(const Cubin &) = delete;
  Cubin &operator=(const Cubin &) = delete;

  // As cl::KernelSet's.
  void run(const std::string &name, const std::vector<GpuArgument> &arguments, const size_t *groups,
           const size_t *threads);

 private:
  Function *function(const std::string &name);

  Device &device_;
  Module *module_ = nullptr;
  std::mutex mutex_;
  std::map<std::string, Function *> functions_;
};

}  // namespace se::cuda
