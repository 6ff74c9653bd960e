// The first NVIDIA GPU: its memory and its kernels. Everything runs in order on the default stream.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>

#include "../status.h"
#include "cuda_api.h"
#include "gpu_types.h"

namespace se::cuda {

// Device memory. TVM carries its address around as a tensor's data and wants that aligned.
struct alignas(64) Buffer {
  Address memory;
  size_t bytes;
};

class Device {
 public:
  // UNSUPPORTED without driver or GPU, LOAD_FAILED if it cannot be opened; tried again at the next call then.
  static Device &open();

  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  const std::string &name() const { return name_; }
  // The driver's CUDA version, as `CUDA 13.0`.
  const std::string &driver() const { return driver_; }
  // As `sm_87`.
  const std::string &architecture() const { return architecture_; }
  uint64_t memory_bytes() const { return memory_bytes_; }
  uint64_t used_bytes() const { return pool_.used_bytes(); }

  // As cl::Device's.
  Buffer *allocate(size_t bytes);
  void release(Buffer *buffer) noexcept { pool_.give(buffer); }
  void trim() noexcept;
  void write(Buffer &to, size_t offset, const void *from, size_t bytes);
  void read(const Buffer &from, size_t offset, void *to, size_t bytes);
  void copy(const Buffer &from, size_t from_offset, Buffer &to, size_t to_offset, size_t bytes);
  void fill_with_zeros(Buffer &buffer);
  void finish();
  void launch(Function *function, const std::string &name, const size_t *groups, const size_t *threads,
              void **arguments);
  void profile(bool on);
  std::map<std::string, KernelTime> kernel_times();

  // Makes the GPU's context this thread's: before every call of the driver.
  void enter();
  void check(const char *what, Result code) {
    if (code != kSuccess) throw failure(what, code);
  }
  // The failure for a result of a call; remembers a lost device, which serves no more.
  Error failure(const char *what, Result code);

 private:
  Device();
  ~Device() = delete;  // lives as long as the process, as the driver does

  int id_ = 0;
  Context *context_ = nullptr;
  std::string name_, driver_, architecture_;
  size_t memory_bytes_ = 0;
  GpuPool<Buffer> pool_;
  std::atomic<bool> is_lost_ = false, profiling_ = false;
  std::mutex mutex_;
  std::map<std::string, KernelTime> times_;
};

}  // namespace se::cuda
