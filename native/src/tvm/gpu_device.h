// What the devices of all GPU APIs have in common: names, a pool of buffers, the time of each kernel, and whether the
// device is lost.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>

#include "base/status.h"
#include "tvm/gpu_types.h"

namespace se {

// Device memory. TVM passes its address around as a tensor's data and requires that to be aligned.
template <typename Memory>
struct alignas(64) GpuBuffer {
  Memory memory;
  size_t bytes;
};

// The one `Device` of this process, opened at the first call that succeeds. It lives as long as the process: shutting
// a driver down at exit is not safe.
template <typename Device>
Device &opened_once(Device *(*open)()) {
  static std::mutex mutex;
  static Device *opened = nullptr;
  const std::lock_guard lock(mutex);
  if (opened == nullptr) opened = open();
  return *opened;
}

template <typename Buffer>
class GpuDevice {
 public:
  GpuDevice(const GpuDevice &) = delete;
  GpuDevice &operator=(const GpuDevice &) = delete;

  const std::string &name() const { return name_; }
  const std::string &driver() const { return driver_; }
  uint64_t memory_bytes() const { return memory_bytes_; }
  uint64_t largest_buffer_bytes() const { return largest_buffer_bytes_; }
  // Bytes in use, without the pool.
  uint64_t used_bytes() const { return pool_.used_bytes(); }

  // Returns it to the pool. What was queued before may still use it: whatever reuses it is queued later.
  void release(Buffer *buffer) noexcept { pool_.give(buffer); }
  std::map<std::string, KernelTime> kernel_times() {
    const std::lock_guard lock(mutex_);
    return times_;
  }

 protected:
  GpuDevice() = default;
  ~GpuDevice() = default;

  std::string gpu() const { return "the GPU " + ticked(name_); }
  static std::string bytes_text(uint64_t bytes) { return ticked(std::to_string(bytes)) + " bytes"; }

  void require_device() const {
    if (is_lost_) throw Error(SE_INTERNAL, gpu() + " is lost", "start the program again");
  }
  // Marks the device as lost from now on; `symptom` is how that was noticed.
  Error lost(const std::string &symptom, const std::string &more = "") {
    is_lost_ = true;
    return Error(SE_INTERNAL, symptom + "; the device is lost",
                 "start the program again, or open with the backend cpu" + more);
  }
  void require_buffer(size_t bytes) const {
    if (bytes <= largest_buffer_bytes_) return;
    throw Error(SE_OOM_VRAM,
                gpu() + " makes buffers of up to " + bytes_text(largest_buffer_bytes_) + ", not " + bytes_text(bytes),
                "open with a shorter context, or package with a smaller weight format");
  }
  // `why` as ` (CL_OUT_OF_HOST_MEMORY)`.
  Error out_of_memory(size_t bytes, const std::string &why = "") const {
    return Error(
        SE_OOM_VRAM,
        gpu() + " has no " + bytes_text(bytes) + " left" + why + "; " + bytes_text(used_bytes()) + " are in use",
        kFreeMemory);
  }
  Buffer *counted(Buffer made) {
    auto *buffer = new Buffer(made);
    pool_.count(*buffer);
    return buffer;
  }
  // The caller of these two holds mutex_.
  void count_kernel(const std::string &name, uint64_t nanoseconds) {
    KernelTime &time = times_[name];
    time.calls += 1;
    time.nanoseconds += nanoseconds;
  }
  void forget_kernels() { times_.clear(); }

  static constexpr char kFreeMemory[] = "open with a shorter context or close other programs";

  std::string name_, driver_;
  uint64_t memory_bytes_ = 0, largest_buffer_bytes_ = UINT64_MAX;
  GpuPool<Buffer> pool_;
  std::mutex mutex_;
  std::atomic<bool> is_lost_ = false;

 private:
  std::map<std::string, KernelTime> times_;
};

}  // namespace se
