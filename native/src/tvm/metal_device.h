// The system's Metal device: buffers that it shares with the CPU, and its kernels, which run in order on one queue.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "../status.h"
#include "gpu_types.h"
#include "metal_api.h"

namespace se::metal {

// Shared memory. TVM carries its address around as a tensor's data and wants that aligned.
struct alignas(64) Buffer {
  Id memory;
  size_t bytes;
};

class Device {
 public:
  // UNSUPPORTED where there is no Metal or no device for it; tried again at the next call then.
  static Device &open();

  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  const std::string &name() const { return name_; }
  // The system's version, whose part the driver is.
  const std::string &driver() const { return driver_; }
  Id id() const { return device_.get(); }
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
  void launch(Id pipeline, const std::string &name, const size_t *groups, const size_t *threads,
              const std::vector<GpuArgument> &arguments);
  void profile(bool on);
  std::map<std::string, KernelTime> kernel_times();

 private:
  Device();
  ~Device() = delete;  // lives as long as the process

  // These want mutex_ held.
  Id encoder(bool for_copies);
  void end_encoder();
  void commit();
  void wait();

  Owned device_, queue_;
  std::string name_, driver_;
  uint64_t memory_bytes_ = 0, largest_buffer_bytes_ = 0;
  GpuPool<Buffer> pool_;
  std::mutex mutex_;
  Owned commands_, encoder_;
  bool copies_ = false;
  size_t encoded_ = 0;
  std::vector<Owned> committed_;
  bool is_lost_ = false, profiling_ = false;
  std::map<std::string, KernelTime> times_;
};

}  // namespace se::metal
