// Where a compiled model's tensors lie and its kernels run: this machine's memory and CPU, or a GPU.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engines/engine.h"
#include "tvm/objects.h"

namespace se {

class TvmPlace {
 public:
  virtual ~TvmPlace() = default;

  virtual DLDevice device() const = 0;
  // What the GPU calls itself; empty for the CPU.
  virtual std::string device_name() const { return ""; }
  // TVM's number for how it gets memory there.
  virtual int64_t allocator() const = 0;
  // Refuses what cannot fit, before anything is allocated. OOM_RAM, OOM_VRAM.
  virtual void require(uint64_t weights_bytes, uint64_t cache_bytes, uint64_t context) const = 0;

  // A tensor of these numbers, which `owner` keeps alive. They are used in place, or copied once.
  virtual TvmValue tensor(const void *data, size_t bytes, DLDataType dtype, const std::vector<int64_t> &shape,
                          const std::shared_ptr<void> &owner) = 0;
  virtual TvmValue zeros(size_t bytes, DLDataType dtype, const std::vector<int64_t> &shape) = 0;
  // The numbers of a tensor, when everything that writes them has run. Valid until the next call.
  virtual const void *content(const DLTensor &tensor, size_t bytes) = 0;

  // Why compiled code failed, where TVM cannot say it as a status; then forgotten.
  virtual std::optional<Error> take_failure() { return std::nullopt; }
  virtual void measure_kernels(bool) {}
  virtual std::vector<KernelSeconds> kernel_seconds() { return {}; }
};

std::unique_ptr<TvmPlace> cpu_place();
// The OpenCL device of this machine. UNSUPPORTED if there is none or it lacks `half` arithmetic, LOAD_FAILED.
std::unique_ptr<TvmPlace> opencl_place(bool half);
// The first NVIDIA GPU of this machine. UNSUPPORTED if there is none, LOAD_FAILED.
std::unique_ptr<TvmPlace> cuda_place();
// Apple's GPU. UNSUPPORTED if there is none.
std::unique_ptr<TvmPlace> metal_place();

}  // namespace se
