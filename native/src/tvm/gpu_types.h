// What all GPU APIs here have in common.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

namespace se {

// One argument of a kernel: device memory, or a number of 4 or 8 bytes.
struct GpuArgument {
  const void *data;
  size_t bytes;
  void *buffer;  // the API's own Buffer; null for a number
};

struct KernelTime {
  uint64_t calls = 0;
  uint64_t nanoseconds = 0;
};

// Sizes are rounded up, so that slightly different calls find each other's buffers.
inline size_t pooled_size(size_t bytes) {
  constexpr size_t kGrain = 256;
  return std::max<size_t>(kGrain, (bytes + kGrain - 1) / kGrain * kGrain);
}

// Buffers that are free for the next call, by size; a Buffer has `bytes`.
template <typename Buffer>
class GpuPool {
 public:
  // A free buffer of at least this size; null if there is none. Up to an eighth too large is better than a new one.
  Buffer *take(size_t size) {
    const std::lock_guard lock(mutex_);
    const auto found = free_.lower_bound(size);
    if (found == free_.end() || found->first > size + size / 8) return nullptr;
    Buffer *buffer = found->second;
    free_.erase(found);
    used_bytes_ += buffer->bytes;
    return buffer;
  }
  void count(const Buffer &made) {
    const std::lock_guard lock(mutex_);
    used_bytes_ += made.bytes;
  }
  void give(Buffer *buffer) {
    const std::lock_guard lock(mutex_);
    used_bytes_ -= buffer->bytes;
    free_.emplace(buffer->bytes, buffer);
  }
  // Passes every free buffer to `release`; returns whether there was any.
  template <typename Release>
  bool drain(Release &&release) {
    const std::lock_guard lock(mutex_);
    const bool had_any = !free_.empty();
    for (const auto &[unused, buffer] : free_) {
      release(*buffer);
      delete buffer;
    }
    free_.clear();
    return had_any;
  }
  uint64_t used_bytes() const {
    const std::lock_guard lock(mutex_);
    return used_bytes_;
  }

 private:
  mutable std::mutex mutex_;
  std::multimap<size_t, Buffer *> free_;
  uint64_t used_bytes_ = 0;
};

}  // namespace se
