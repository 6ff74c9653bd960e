// Where a compiled model keeps its tensors and runs its kernels: the CPU and its memory, or a GPU.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engines/engine.h"
#include "tvm/objects.h"

namespace se {

// A tensor that consists of others along its first axis, which lie one after the other in its memory.
struct DividedTensor {
  TvmValue whole;
  std::vector<TvmValue> parts;
};

class DeviceBackend {
 public:
  virtual ~DeviceBackend() = default;

  virtual DLDevice device() const = 0;
  // The GPU's name; empty for the CPU.
  virtual std::string device_name() const { return ""; }
  // TVM's number for its way to allocate memory there.
  virtual int64_t allocator() const = 0;
  // Throws OOM_RAM or OOM_VRAM if it cannot fit, before anything is allocated.
  virtual void require(uint64_t weights_bytes, uint64_t cache_bytes, uint64_t context) const = 0;

  // A tensor of these numbers, which `owner` keeps alive. They are used where they are, or copied once.
  virtual TvmValue tensor(const void *data, size_t bytes, DLDataType dtype, const std::vector<int64_t> &shape,
                          const std::shared_ptr<void> &owner) = 0;
  virtual TvmValue zeros(size_t bytes, DLDataType dtype, const std::vector<int64_t> &shape) = 0;
  // `count` parts of this size and shape, all zeros; nothing where the device cannot divide its memory so.
  virtual std::optional<DividedTensor> divided_zeros(size_t bytes, DLDataType dtype, const std::vector<int64_t> &shape,
                                                     uint32_t count) = 0;
  // The numbers of a tensor, after everything that writes them has run. Valid until the next call.
  virtual const void *content(const DLTensor &tensor, size_t bytes) = 0;

  // Why compiled code failed, where TVM cannot report it as a status; cleared by the call.
  virtual std::optional<Error> take_failure() { return std::nullopt; }
  virtual void measure_kernels(bool) {}
  virtual std::vector<KernelSeconds> kernel_seconds() { return {}; }
};

std::unique_ptr<DeviceBackend> cpu_backend();
// The OpenCL device of this machine. UNSUPPORTED if there is none or it lacks `half` arithmetic, LOAD_FAILED.
std::unique_ptr<DeviceBackend> opencl_backend(bool half);
// The first NVIDIA GPU of this machine. UNSUPPORTED if there is none, LOAD_FAILED.
std::unique_ptr<DeviceBackend> cuda_backend();
// Apple's GPU. UNSUPPORTED if there is none.
std::unique_ptr<DeviceBackend> metal_backend();

}  // namespace se
