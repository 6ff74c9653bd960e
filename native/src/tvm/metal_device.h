// The system's Metal device: buffers that it shares with the CPU, and its kernels, which run in order on one queue.
#pragma once

#include <string>
#include <vector>

#include "tvm/gpu_device.h"
#include "tvm/metal_api.h"

namespace se::metal {

// Shared with the CPU.
using Buffer = GpuBuffer<Id>;

// `driver` is the system's version, whose part it is.
class Device final : public GpuDevice<Buffer> {
 public:
  // UNSUPPORTED without Metal or a device for it; the next call tries again.
  static Device &open();

  Id id() const { return device_.get(); }

  // As cl::Device's.
  Buffer *allocate(size_t bytes);
  void trim() noexcept;
  void write(Buffer &to, size_t offset, const void *from, size_t bytes);
  void read(const Buffer &from, size_t offset, void *to, size_t bytes);
  void copy(const Buffer &from, size_t from_offset, Buffer &to, size_t to_offset, size_t bytes);
  void fill_with_zeros(Buffer &buffer);
  void finish();
  void launch(Id pipeline, const std::string &name, const size_t *groups, const size_t *threads,
              const std::vector<GpuArgument> &arguments);
  void profile(bool on);

 private:
  Device();
  ~Device() = delete;

  // The caller of these holds mutex_.
  Id encoder(bool for_copies);
  void end_encoder();
  void commit();
  void wait();

  Owned device_, queue_;
  uint64_t largest_buffer_bytes_ = 0;
  Owned commands_, encoder_;
  bool copies_ = false;
  size_t encoded_ = 0;
  std::vector<Owned> committed_;
  bool profiling_ = false;
};

}  // namespace se::metal
