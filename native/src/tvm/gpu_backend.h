// A compiled model on a GPU: weights and KV cache are copied there once, logits come back.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tvm/device_backend.h"
#include "tvm/gpu_failure.h"
#include "tvm/gpu_plugin.h"

namespace se {

// `Traits` as in gpu_plugin.h; a Device here also has name, driver, memory_bytes, used_bytes, fill_with_zeros, trim,
// profile, kernel_times, largest_buffer_bytes, part_alignment, part and release_part.
template <typename Traits>
class GpuBackend final : public DeviceBackend {
  using Device = typename Traits::Device;
  using Buffer = typename Traits::Buffer;

 public:
  explicit GpuBackend(Device &gpu) : gpu_(gpu) { take_gpu_failure(); }
  ~GpuBackend() override {
    gpu_.profile(false);
    gpu_.trim();
  }

  DLDevice device() const override { return {Traits::kDevice, 0}; }
  std::string device_name() const override { return gpu_.name() + ", " + gpu_.driver(); }
  // We return each buffer to the device's pool; TVM must not keep it.
  int64_t allocator() const override { return 1; }

  void require(uint64_t weights_bytes, uint64_t cache_bytes, uint64_t context) const override {
    const uint64_t needed = weights_bytes + cache_bytes + gpu_.used_bytes();
    if (needed <= gpu_.memory_bytes()) return;
    throw Error(SE_OOM_VRAM,
                "weights and a KV cache for " + ticked(std::to_string(context)) + " tokens need " +
                    ticked(std::to_string(needed)) + " bytes and the GPU " + ticked(gpu_.name()) + " has " +
                    ticked(std::to_string(gpu_.memory_bytes())),
                "open with a shorter context or close other programs");
  }

  TvmValue tensor(const void *data, size_t bytes, DLDataType dtype, const std::vector<int64_t> &shape,
                  const std::shared_ptr<void> &) override {
    const auto buffer = memory(bytes);
    gpu_.write(*buffer, 0, data, bytes);
    return tvm_tensor(buffer.get(), device(), dtype, shape, buffer);
  }

  TvmValue zeros(size_t bytes, DLDataType dtype, const std::vector<int64_t> &shape) override {
    const auto buffer = memory(bytes);
    gpu_.fill_with_zeros(*buffer);
    return tvm_tensor(buffer.get(), device(), dtype, shape, buffer);
  }

  std::optional<DividedTensor> divided_zeros(size_t bytes, DLDataType dtype, const std::vector<int64_t> &shape,
                                             uint32_t count) override {
    if (count == 1) {
      const TvmValue whole = zeros(bytes, dtype, shape);
      return DividedTensor{whole, {whole}};
    }
    if (bytes % gpu_.part_alignment() != 0 || bytes > gpu_.largest_buffer_bytes() / count) return std::nullopt;
    const auto buffer = memory(bytes * count);
    gpu_.fill_with_zeros(*buffer);
    std::vector<int64_t> all = shape;
    all.front() *= count;
    DividedTensor divided = {tvm_tensor(buffer.get(), device(), dtype, all, buffer), {}};
    for (uint32_t i = 0; i < count; ++i) {
      Buffer *made = gpu_.part(*buffer, i * bytes, bytes);
      if (made == nullptr) return std::nullopt;
      const std::shared_ptr<Buffer> part(made, [buffer, &gpu = gpu_](Buffer *one) { gpu.release_part(one); });
      divided.parts.push_back(tvm_tensor(made, device(), dtype, shape, part));
    }
    return divided;
  }

  const void *content(const DLTensor &tensor, size_t bytes) override {
    content_.resize(bytes);
    gpu_.read(*static_cast<const Buffer *>(tensor.data), tensor.byte_offset, content_.data(), bytes);
    return content_.data();
  }

  std::optional<Error> take_failure() override { return take_gpu_failure(); }
  void measure_kernels(bool on) override { gpu_.profile(on); }
  std::vector<KernelSeconds> kernel_seconds() override {
    std::vector<KernelSeconds> all;
    for (const auto &[name, time] : gpu_.kernel_times()) {
      all.push_back({name, time.calls, static_cast<double>(time.nanoseconds) * 1e-9});
    }
    return all;
  }

 private:
  std::shared_ptr<Buffer> memory(size_t bytes) {
    Device &gpu = gpu_;
    return {gpu.allocate(bytes), [&gpu](Buffer *buffer) { gpu.release(buffer); }};
  }

  Device &gpu_;
  std::vector<std::byte> content_;
};

// The device of a GPU API for which TVM may have a runtime of its own: registered at the first call, not earlier, as
// TVM's, loaded after ours, ends the process if the names exist. Throws `taken` if they do.
template <typename Traits>
std::unique_ptr<DeviceBackend> late_gpu_backend(const Error &taken) {
  static const bool is_ours = register_gpu<Traits>();
  if (!is_ours) throw Error(taken);
  return std::make_unique<GpuBackend<Traits>>(Traits::Device::open());
}

}  // namespace se
