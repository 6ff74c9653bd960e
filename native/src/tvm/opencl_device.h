// One OpenCL device: its queue, its memory, its programs. Everything runs in the order in which it was queued.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tvm/gpu_device.h"
#include "tvm/opencl_api.h"

namespace se::cl {

struct Buffer : GpuBuffer<Mem *> {
  Mem *image = nullptr;  // the same memory as texels, once a kernel has needed it
};

// A texel is four words of 32 bits.
constexpr size_t kTexelBytes = 16;

class Device final : public GpuDevice<Buffer> {
 public:
  // The first GPU; without one, other processors (PoCL). UNSUPPORTED if OpenCL is missing or finds nothing, LOAD_FAILED
  // if the device cannot be opened; the next call tries again.
  static Device &open();

  const std::string &platform() const { return platform_; }
  bool computes_half() const { return computes_half_; }
  bool is_unified() const { return is_unified_; }
  // The most texels of an image over a buffer; 0 without support for images.
  uint64_t largest_image_texels() const { return largest_image_texels_; }
  Context *context() const { return context_; }
  DeviceId *id() const { return id_; }

  // Memory, from the pool if a buffer of this size is free. OOM_VRAM if the device has none left or does not support a
  // buffer of this size.
  Buffer *allocate(size_t bytes);
  // A part of a buffer, which must outlive it, from a multiple of part_alignment() on; null if the driver makes none.
  Buffer *part(const Buffer &of, size_t offset, size_t bytes);
  void release_part(Buffer *part) noexcept;
  size_t part_alignment() const { return part_alignment_; }
  // Frees the buffers in the pool.
  void trim() noexcept;

  // `write` returns as soon as `from` may be changed, `read` when everything queued before is done.
  void write(Buffer &to, size_t offset, const void *from, size_t bytes);
  void read(const Buffer &from, size_t offset, void *to, size_t bytes);
  void copy(const Buffer &from, size_t from_offset, Buffer &to, size_t to_offset, size_t bytes);
  void fill_with_zeros(Buffer &buffer);
  void finish();

  // The buffer's memory as an image of texels, made once; null if the device cannot, with the reason in `why`.
  Mem *image_of(Buffer &buffer, std::string &why);

  void launch(Kernel *kernel, const std::string &name, unsigned dimensions, const size_t *global, const size_t *local);

  // Measures every kernel from now on, one at a time: slower, and only for that.
  void profile(bool on);

  // The Error for the status of a call; remembers a lost device, which is unusable from then on.
  Error failure(const char *what, Int code);

 private:
  Device();
  ~Device() = delete;
  void check(const char *what, Int code) {
    if (code != kSuccess) throw failure(what, code);
  }
  void choose();
  void open_queue(bool profiling);
  std::string text(Uint key) const;
  uint64_t number(Uint key) const;

  DeviceId *id_ = nullptr;
  Context *context_ = nullptr;
  Queue *queue_ = nullptr;
  bool profiling_ = false;
  std::string platform_;
  bool computes_half_ = false, is_unified_ = false;
  uint64_t largest_image_texels_ = 0;
  size_t part_alignment_ = 1;
};

}  // namespace se::cl
