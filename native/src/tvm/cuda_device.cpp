// Opens an NVIDIA GPU through its driver and moves memory.
#include "tvm/cuda_device.h"

namespace se::cuda {

Device &Device::open() {
  return opened_once<Device>([] { return new Device(); });
}

Device::Device() {
  if (api().Init(0) != kSuccess || api().DeviceGet(&id_, 0) != kSuccess) {
    throw Error(SE_UNSUPPORTED, "CUDA finds no GPU here", "install NVIDIA's driver");
  }
  char words[256] = {};
  api().DeviceGetName(words, sizeof words - 1, id_);
  name_ = words;
  int version = 0;
  int major = 0;
  int minor = 0;
  api().DriverGetVersion(&version);
  api().DeviceGetAttribute(&major, kComputeCapabilityMajor, id_);
  api().DeviceGetAttribute(&minor, kComputeCapabilityMinor, id_);
  driver_ = "CUDA " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  architecture_ = "sm_" + std::to_string(major * 10 + minor);
  size_t memory = 0;
  api().DeviceTotalMem_v2(&memory, id_);
  memory_bytes_ = memory;
  const Result code = api().DevicePrimaryCtxRetain(&context_, id_);
  if (code == kSuccess) return;
  throw Error(SE_LOAD_FAILED, gpu() + " cannot be opened: " + error_name(code));
}

void Device::enter() {
  require_device();
  check("cannot be entered", api().CtxSetCurrent(context_));
}

Error Device::failure(const char *what, Result code) {
  const std::string message = gpu() + ": " + what + ": " + error_name(code);
  if (code == kOutOfMemory) return Error(SE_OOM_VRAM, message, kFreeMemory);
  if ((code >= kFirstFatal && code <= kLastFatal) || code == kUnknown) return lost(message);
  return Error(SE_INTERNAL, message);
}

Buffer *Device::allocate(size_t bytes) {
  const size_t size = pooled_size(bytes);
  enter();
  if (Buffer *buffer = pool_.take(size); buffer != nullptr) return buffer;
  Address memory = 0;
  Result code = api().MemAlloc_v2(&memory, size);
  if (code != kSuccess && pool_.drain([](Buffer &unused) { api().MemFree_v2(unused.memory); })) {
    code = api().MemAlloc_v2(&memory, size);
  }
  if (code == kOutOfMemory) throw out_of_memory(size);
  check("cannot allocate", code);
  return counted({memory, size});
}

void Device::trim() noexcept {
  if (api().CtxSetCurrent(context_) != kSuccess) return;
  pool_.drain([](Buffer &unused) { api().MemFree_v2(unused.memory); });
}

void Device::write(Buffer &to, size_t offset, const void *from, size_t bytes) {
  enter();
  if (bytes > 0) check("cannot write", api().MemcpyHtoD_v2(to.memory + offset, from, bytes));
}

void Device::read(const Buffer &from, size_t offset, void *to, size_t bytes) {
  enter();
  if (bytes > 0) check("cannot read", api().MemcpyDtoH_v2(to, from.memory + offset, bytes));
}

void Device::copy(const Buffer &from, size_t from_offset, Buffer &to, size_t to_offset, size_t bytes) {
  enter();
  if (bytes == 0) return;
  check("cannot copy", api().MemcpyDtoDAsync_v2(to.memory + to_offset, from.memory + from_offset, bytes, nullptr));
}

void Device::fill_with_zeros(Buffer &buffer) {
  enter();
  check("cannot fill memory", api().MemsetD8_v2(buffer.memory, 0, buffer.bytes));
}

void Device::finish() {
  enter();
  check("cannot finish its work", api().CtxSynchronize());
}

void Device::launch(Function *function, const std::string &name, const size_t *groups, const size_t *threads,
                    void **arguments) {
  enter();
  Event *events[2] = {};
  if (profiling_) {
    for (Event *&event : events) check("cannot make a timer", api().EventCreate(&event, 0));
    api().EventRecord(events[0], nullptr);
  }
  unsigned sizes[6];
  for (int i = 0; i < 3; ++i) {
    sizes[i] = static_cast<unsigned>(groups[i]);
    sizes[i + 3] = static_cast<unsigned>(threads[i]);
  }
  const Result code = api().LaunchKernel(function, sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], 0,
                                         nullptr, arguments, nullptr);
  if (code != kSuccess) throw failure(("cannot start kernel " + ticked(name)).c_str(), code);
  if (events[1] == nullptr) return;
  api().EventRecord(events[1], nullptr);
  const Result ended = api().EventSynchronize(events[1]);
  float milliseconds = 0;
  api().EventElapsedTime(&milliseconds, events[0], events[1]);
  for (Event *event : events) api().EventDestroy_v2(event);
  if (ended != kSuccess) throw failure(("kernel " + ticked(name) + " failed").c_str(), ended);
  const std::lock_guard lock(mutex_);
  count_kernel(name, static_cast<uint64_t>(milliseconds * 1e6F));
}

void Device::profile(bool on) {
  profiling_ = on;
  const std::lock_guard lock(mutex_);
  forget_kernels();
}

}  // namespace se::cuda
