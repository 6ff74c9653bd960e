// The system's Metal device: buffers that it shares with the CPU, and its kernels, which run in order on one queue.
#pragma once

#include <string>
#include <vector>

#include "tvm/gpu_device.h"
#include "tvm/metal_api.h"

namespace se::metal {

// Shared with the CPU. A part of another buffer has the same `memory`, and begins at `offset` in it.
struct Buffer : GpuBuffer<Id> {
  size_t offset = 0;
};
// What Metal asks of an offset on any device.
constexpr size_t kPartAlignment = 256;

// `driver` is the system's version, whose part it is.
class Device final : public GpuDevice<Buffer> {
 public:
  // UNSUPPORTED without Metal or a device for it; the next call tries again.
  static Device &open();

  Id id() const { return device_.get(); }

  // As cl::Device's.
  Buffer *allocate(size_t bytes);
  Buffer *part(const Buffer &of, size_t offset, size_t bytes);
  void release_part(Buffer *part) noexcept { delete part; }
  size_t part_alignment() const { return kPartAlignment; }
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
  Owned commands_, encoder_;
  bool copies_ = false;
  size_t encoded_ = 0;
  std::vector<Owned> committed_;
  bool profiling_ = false;
};

}  // namespace se::metal
