// The first NVIDIA GPU: its memory and its kernels. Everything runs in order on the default stream.
#pragma once

#include <atomic>
#include <string>

#include "tvm/cuda_api.h"
#include "tvm/gpu_device.h"

namespace se::cuda {

using Buffer = GpuBuffer<Address>;
// As that of what the driver allocates (CUDA C++ programming guide, "Device memory accesses").
constexpr size_t kPartAlignment = 256;

// `driver` is its CUDA version, as `CUDA 13.0`.
class Device final : public GpuDevice<Buffer> {
 public:
  // UNSUPPORTED without driver or GPU, LOAD_FAILED if it cannot be opened; the next call tries again.
  static Device &open();

  // As `sm_87`.
  const std::string &architecture() const { return architecture_; }

  // As cl::Device's.
  Buffer *allocate(size_t bytes);
  Buffer *part(const Buffer &of, size_t offset, size_t bytes) { return new Buffer{of.memory + offset, bytes}; }
  void release_part(Buffer *part) noexcept { delete part; }
  size_t part_alignment() const { return kPartAlignment; }
  void trim() noexcept;
  void write(Buffer &to, size_t offset, const void *from, size_t bytes);
  void read(const Buffer &from, size_t offset, void *to, size_t bytes);
  void copy(const Buffer &from, size_t from_offset, Buffer &to, size_t to_offset, size_t bytes);
  void fill_with_zeros(Buffer &buffer);
  void finish();
  void launch(Function *function, const std::string &name, const size_t *groups, const size_t *threads,
              void **arguments);
  void profile(bool on);

  // Makes the GPU's context current on this thread; needed before every call of the driver.
  void enter();
  void check(const char *what, Result code) {
    if (code != kSuccess) throw failure(what, code);
  }
  // The Error for the result of a call; remembers a lost device, which is unusable from then on.
  Error failure(const char *what, Result code);

 private:
  Device();
  ~Device() = delete;

  int id_ = 0;
  Context *context_ = nullptr;
  std::string architecture_;
  std::atomic<bool> profiling_ = false;
};

}  // namespace se::cuda
