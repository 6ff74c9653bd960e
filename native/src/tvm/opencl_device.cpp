// Opens an OpenCL device and moves memory; the queue is never waited for except by `read` and `finish`.
#include "tvm/opencl_device.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/log.h"

namespace se::cl {
namespace {

void give_back(Buffer &unused) {
  if (unused.image != nullptr) api().ReleaseMemObject(unused.image);
  api().ReleaseMemObject(unused.memory);
}

}  // namespace

Device &Device::open() {
  return opened_once<Device>([] { return new Device(); });
}

Device::Device() {
  choose();
  name_ = text(kDeviceName);
  driver_ = text(kDriverVersion);
  computes_half_ = text(kDeviceExtensions).find("cl_khr_fp16") != std::string::npos;
  memory_bytes_ = number(kDeviceGlobalMemSize);
  largest_buffer_bytes_ = number(kDeviceMaxMemAllocSize);
  Uint alignment_bits = 0;
  api().GetDeviceInfo(id_, kDeviceMemBaseAddrAlign, sizeof alignment_bits, &alignment_bits, nullptr);
  part_alignment_ = std::max<size_t>(alignment_bits / 8, 1);
  Uint unified = 0;
  api().GetDeviceInfo(id_, kDeviceHostUnifiedMemory, sizeof unified, &unified, nullptr);
  is_unified_ = unified != 0;
  Uint images = 0;
  api().GetDeviceInfo(id_, kDeviceImageSupport, sizeof images, &images, nullptr);
  if (images != 0 && api().CreateImage != nullptr) largest_image_texels_ = number(kDeviceImageMaxBufferSize);
  Int code = kSuccess;
  context_ = api().CreateContext(nullptr, 1, &id_, nullptr, nullptr, &code);
  if (code != kSuccess) {
    throw Error(SE_LOAD_FAILED, "the OpenCL device " + ticked(name_) + " cannot be opened: " + error_name(code));
  }
  open_queue(false);
}

void Device::choose() {
  Uint count = 0;
  std::vector<PlatformId *> platforms;
  if (api().GetPlatformIDs(0, nullptr, &count) == kSuccess && count > 0) {
    platforms.resize(count);
    api().GetPlatformIDs(count, platforms.data(), nullptr);
  }
  for (const Bitfield kind : {kDeviceTypeGpu, kDeviceTypeAccelerator | kDeviceTypeCpu}) {
    for (PlatformId *platform : platforms) {
      if (api().GetDeviceIDs(platform, kind, 1, &id_, &count) != kSuccess || count == 0) continue;
      for (const Uint key : {kPlatformName, kPlatformVersion}) {
        char words[256] = {};
        api().GetPlatformInfo(platform, key, sizeof words - 1, words, nullptr);
        platform_ += (platform_.empty() ? "" : " ") + std::string(words);
      }
      return;
    }
  }
  throw Error(SE_UNSUPPORTED, "OpenCL finds no device here", "install the GPU's driver");
}

void Device::open_queue(bool profiling) {
  Int code = kSuccess;
  Queue *queue = api().CreateCommandQueue(context_, id_, profiling ? kQueueProfiling : 0, &code);
  check("cannot make a queue", code);
  if (queue_ != nullptr) {
    api().Finish(queue_);
    api().ReleaseCommandQueue(queue_);
  }
  queue_ = queue;
  profiling_ = profiling;
}

std::string Device::text(Uint key) const {
  size_t bytes = 0;
  if (api().GetDeviceInfo(id_, key, 0, nullptr, &bytes) != kSuccess || bytes == 0) return "";
  std::string words(bytes, '\0');
  api().GetDeviceInfo(id_, key, bytes, words.data(), nullptr);
  words.resize(std::strlen(words.c_str()));
  return words;
}

uint64_t Device::number(Uint key) const {
  Ulong value = 0;
  api().GetDeviceInfo(id_, key, sizeof value, &value, nullptr);
  return value;
}

Error Device::failure(const char *what, Int code) {
  const std::string message = gpu() + ": " + what + ": " + error_name(code);
  switch (code) {
    case kMemObjectAllocationFailure:
    case kOutOfHostMemory:
    case kInvalidBufferSize:
      return Error(SE_OOM_VRAM, message, kFreeMemory);
    case kOutOfResources:
    case kDeviceNotAvailable:
      // After either, drivers answer every call with an error.
      return lost(message);
    default:
      return Error(SE_INTERNAL, message);
  }
}

Buffer *Device::allocate(size_t bytes) {
  const size_t size = pooled_size(bytes);
  require_device();
  require_buffer(size);
  if (Buffer *buffer = pool_.take(size); buffer != nullptr) return buffer;
  const Bitfield flags = kMemReadWrite | (is_unified_ ? kMemAllocHostPtr : 0);
  Int code = kSuccess;
  Mem *memory = api().CreateBuffer(context_, flags, size, nullptr, &code);
  if (code != kSuccess && pool_.drain(give_back)) {
    memory = api().CreateBuffer(context_, flags, size, nullptr, &code);
  }
  if (code != kSuccess) throw out_of_memory(size, " (" + error_name(code) + ")");
  return counted({{memory, size}});
}

Buffer *Device::part(const Buffer &of, size_t offset, size_t bytes) {
  if (api().CreateSubBuffer == nullptr) return nullptr;
  const BufferRegion region = {offset, bytes};
  Int code = kSuccess;
  Mem *memory = api().CreateSubBuffer(of.memory, kMemReadWrite, kBufferCreateTypeRegion, &region, &code);
  return code == kSuccess ? new Buffer{{memory, bytes}} : nullptr;
}

void Device::release_part(Buffer *part) noexcept {
  give_back(*part);
  delete part;
}

void Device::trim() noexcept { pool_.drain(give_back); }

void Device::write(Buffer &to, size_t offset, const void *from, size_t bytes) {
  if (bytes == 0) return;
  if (!is_unified_) {
    check("cannot write", api().EnqueueWriteBuffer(queue_, to.memory, 1, offset, bytes, from, 0, nullptr, nullptr));
    return;
  }
  // The GPU reads this memory itself: one copy, no staging.
  Int code = kSuccess;
  void *mapped =
      api().EnqueueMapBuffer(queue_, to.memory, 1, kMapWriteInvalidate, offset, bytes, 0, nullptr, nullptr, &code);
  check("cannot map memory", code);
  std::memcpy(mapped, from, bytes);
  check("cannot unmap memory", api().EnqueueUnmapMemObject(queue_, to.memory, mapped, 0, nullptr, nullptr));
}

void Device::read(const Buffer &from, size_t offset, void *to, size_t bytes) {
  if (bytes == 0) return;
  if (!is_unified_) {
    check("cannot read", api().EnqueueReadBuffer(queue_, from.memory, 1, offset, bytes, to, 0, nullptr, nullptr));
    return;
  }
  Int code = kSuccess;
  void *mapped = api().EnqueueMapBuffer(queue_, from.memory, 1, kMapRead, offset, bytes, 0, nullptr, nullptr, &code);
  check("cannot map memory", code);
  std::memcpy(to, mapped, bytes);
  check("cannot unmap memory", api().EnqueueUnmapMemObject(queue_, from.memory, mapped, 0, nullptr, nullptr));
}

void Device::copy(const Buffer &from, size_t from_offset, Buffer &to, size_t to_offset, size_t bytes) {
  if (bytes == 0) return;
  check("cannot copy",
        api().EnqueueCopyBuffer(queue_, from.memory, to.memory, from_offset, to_offset, bytes, 0, nullptr, nullptr));
}

void Device::fill_with_zeros(Buffer &buffer) {
  constexpr size_t kPiece = 1 << 20;
  const std::vector<char> zeros(std::min(buffer.bytes, kPiece));
  for (size_t done = 0; done < buffer.bytes; done += kPiece) {
    write(buffer, done, zeros.data(), std::min(kPiece, buffer.bytes - done));
  }
}

Mem *Device::image_of(Buffer &buffer, std::string &why) {
  const std::lock_guard lock(mutex_);
  if (buffer.image != nullptr) return buffer.image;
  const size_t texels = buffer.bytes / kTexelBytes;
  if (texels > largest_image_texels_) {
    why = "it has " + ticked(std::to_string(texels)) + " texels and an image of " + gpu() + " up to " +
          ticked(std::to_string(largest_image_texels_));
    return nullptr;
  }
  const ImageFormat format = {kRgba, kUnsignedInt32};
  const ImageDescription description = {kMemObjectImage1dBuffer, texels, 0, 0, 0, 0, 0, 0, 0, buffer.memory};
  Int code = kSuccess;
  Mem *image = api().CreateImage(context_, kMemReadOnly, &format, &description, nullptr, &code);
  if (code != kSuccess) {
    why = gpu() + " makes no image of it: " + error_name(code);
    return nullptr;
  }
  return buffer.image = image;
}

void Device::finish() { check("cannot finish its work", api().Finish(queue_)); }

void Device::launch(Kernel *kernel, const std::string &name, unsigned dimensions, const size_t *global,
                    const size_t *local) {
  require_device();
  Event *event = nullptr;
  const Int code = api().EnqueueNDRangeKernel(queue_, kernel, dimensions, nullptr, global, local, 0, nullptr,
                                              profiling_ ? &event : nullptr);
  if (code != kSuccess) throw failure(("cannot start kernel " + ticked(name)).c_str(), code);
  if (event == nullptr) return;
  finish();
  Ulong start = 0;
  Ulong end = 0;
  api().GetEventProfilingInfo(event, kProfilingStart, sizeof start, &start, nullptr);
  api().GetEventProfilingInfo(event, kProfilingEnd, sizeof end, &end, nullptr);
  api().ReleaseEvent(event);
  const std::lock_guard lock(mutex_);
  count_kernel(name, end - start);
}

void Device::profile(bool on) {
  if (on != profiling_) open_queue(on);
  const std::lock_guard lock(mutex_);
  forget_kernels();
}

}  // namespace se::cl
