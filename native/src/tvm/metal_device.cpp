// Opens the device, keeps memory, and encodes work: many kernels per command buffer, as each buffer has a cost.
#include "tvm/metal_device.h"

#include <algorithm>
#include <cstring>

namespace se::metal {
namespace {

// Kernels after which the GPU may begin; about one layer of a model.
constexpr size_t kKernelsAtOnce = 16;

}  // namespace

Device &Device::open() {
  return opened_once<Device>([] { return new Device(); });
}

Device::Device() : device_(api().CreateSystemDefaultDevice()) {
  const Pool pool;
  if (device_.get() == nullptr) throw Error(SE_UNSUPPORTED, "Metal finds no GPU here");
  name_ = text(send(device_.get(), "name"));
  const Id process = send(api().getClass("NSProcessInfo"), "processInfo");
  driver_ = text(send(process, "operatingSystemVersionString"));
  memory_bytes_ = send<uint64_t>(device_.get(), "recommendedMaxWorkingSetSize");
  largest_buffer_bytes_ = send<uint64_t>(device_.get(), "maxBufferLength");
  queue_ = Owned(send(device_.get(), "newCommandQueue"));
  if (queue_.get() == nullptr) throw Error(SE_LOAD_FAILED, gpu() + " gives no command queue");
}

Buffer *Device::allocate(size_t bytes) {
  const size_t size = pooled_size(bytes);
  require_buffer(size);
  if (Buffer *buffer = pool_.take(size); buffer != nullptr) return buffer;
  const auto make = [&] {
    return send(device_.get(), "newBufferWithLength:options:", uint64_t{size}, kStorageModeShared);
  };
  Id memory = make();
  if (memory == nullptr) {
    // What is queued may still use buffers of the pool.
    finish();
    trim();
    memory = make();
  }
  if (memory == nullptr) throw out_of_memory(size);
  return counted({{memory, size}});
}

Buffer *Device::part(const Buffer &of, size_t offset, size_t bytes) {
  return new Buffer{{of.memory, bytes}, of.offset + offset};
}

void Device::trim() noexcept {
  pool_.drain([](Buffer &unused) { send<void>(unused.memory, "release"); });
}

void Device::write(Buffer &to, size_t offset, const void *from, size_t bytes) {
  finish();
  std::memcpy(send<char *>(to.memory, "contents") + to.offset + offset, from, bytes);
}

void Device::read(const Buffer &from, size_t offset, void *to, size_t bytes) {
  finish();
  std::memcpy(to, send<const char *>(from.memory, "contents") + from.offset + offset, bytes);
}

void Device::copy(const Buffer &from, size_t from_offset, Buffer &to, size_t to_offset, size_t bytes) {
  if (bytes == 0) return;
  const Pool pool;
  const std::lock_guard lock(mutex_);
  send<void>(encoder(true), "copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:", from.memory,
             uint64_t{from.offset + from_offset}, to.memory, uint64_t{to.offset + to_offset}, uint64_t{bytes});
}

void Device::fill_with_zeros(Buffer &buffer) {
  finish();
  std::memset(send<char *>(buffer.memory, "contents") + buffer.offset, 0, buffer.bytes);
}

Id Device::encoder(bool for_copies) {
  require_device();
  if (commands_.get() == nullptr) commands_ = Owned::retained(send(queue_.get(), "commandBuffer"));
  if (encoder_.get() != nullptr && copies_ != for_copies) end_encoder();
  if (encoder_.get() == nullptr) {
    encoder_ = Owned::retained(send(commands_.get(), for_copies ? "blitCommandEncoder" : "computeCommandEncoder"));
    copies_ = for_copies;
  }
  if (encoder_.get() == nullptr) throw Error(SE_INTERNAL, gpu() + " takes no commands");
  return encoder_.get();
}

void Device::end_encoder() {
  if (encoder_.get() != nullptr) send<void>(encoder_.get(), "endEncoding");
  encoder_ = Owned();
}

void Device::commit() {
  if (commands_.get() == nullptr) return;
  end_encoder();
  send<void>(commands_.get(), "commit");
  committed_.push_back(std::move(commands_));
  commands_ = Owned();
  encoded_ = 0;
}

void Device::wait() {
  const std::vector<Owned> waited = std::exchange(committed_, {});
  for (const Owned &commands : waited) {
    send<void>(commands.get(), "waitUntilCompleted");
    if (send<uint64_t>(commands.get(), "status") != kCommandBufferFailed) continue;
    const Id error = send(commands.get(), "error");
    const std::string message = gpu() + " failed: " + reason(error);
    if (send<int64_t>(error, "code") == kOutOfMemory) throw Error(SE_OOM_VRAM, message, kFreeMemory);
    // What follows in the queue used results that do not exist.
    throw lost(message, " (iOS stops the GPU of apps in the background)");
  }
}

void Device::finish() {
  const Pool pool;
  const std::lock_guard lock(mutex_);
  commit();
  wait();
}

void Device::launch(Id pipeline, const std::string &name, const size_t *groups, const size_t *threads,
                    const std::vector<GpuArgument> &arguments) {
  const Pool pool;
  const std::lock_guard lock(mutex_);
  const Id into = encoder(false);
  send<void>(into, "setComputePipelineState:", pipeline);
  // Numbers follow the buffers in one block, each in 8 bytes.
  std::vector<uint64_t> numbers;
  uint64_t index = 0;
  for (const GpuArgument &argument : arguments) {
    if (argument.buffer != nullptr) {
      const auto &buffer = *static_cast<const Buffer *>(argument.buffer);
      send<void>(into, "setBuffer:offset:atIndex:", buffer.memory, uint64_t{buffer.offset}, index++);
    } else {
      numbers.push_back(0);
      std::memcpy(&numbers.back(), argument.data, argument.bytes);
    }
  }
  if (!numbers.empty()) {
    send<void>(into, "setBytes:length:atIndex:", static_cast<const void *>(numbers.data()),
               uint64_t{numbers.size() * sizeof(uint64_t)}, index);
  }
  const auto size = [](const size_t *axes) { return Size{axes[0], axes[1], axes[2]}; };
  send<void>(into, "dispatchThreadgroups:threadsPerThreadgroup:", size(groups), size(threads));
  if (++encoded_ >= kKernelsAtOnce || profiling_) commit();
  if (!profiling_) return;
  const Id commands = committed_.back().get();
  send<void>(commands, "waitUntilCompleted");
  const double seconds = send<double>(commands, "GPUEndTime") - send<double>(commands, "GPUStartTime");
  wait();
  count_kernel(name, static_cast<uint64_t>(seconds * 1e9));
}

void Device::profile(bool on) {
  const std::lock_guard lock(mutex_);
  profiling_ = on;
  forget_kernels();
}

}  // namespace se::metal
