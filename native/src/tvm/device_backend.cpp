// The CPU backend: weights stay where they are mapped.
#include "tvm/device_backend.h"

#include <cstring>

#include "base/cpu.h"

namespace se {
namespace {

constexpr int64_t kPooledAllocator = 2;

class CpuBackend final : public DeviceBackend {
 public:
  DLDevice device() const override { return {kDLCPU, 0}; }
  int64_t allocator() const override { return kPooledAllocator; }

  void require(uint64_t, uint64_t cache_bytes, uint64_t context) const override {
    const uint64_t available = memory_available_bytes();
    if (available == 0 || cache_bytes <= available) return;
    throw Error(SE_OOM_RAM,
                "the KV cache for " + ticked(std::to_string(context)) + " tokens needs " +
                    ticked(std::to_string(cache_bytes)) + " bytes and " + ticked(std::to_string(available)) +
                    " are free",
                "open with a shorter context or close other programs");
  }

  TvmValue tensor(const void *data, size_t bytes, DLDataType dtype, const std::vector<int64_t> &shape,
                  const std::shared_ptr<void> &owner) override {
    if (reinterpret_cast<uintptr_t>(data) % kTensorAlignment == 0) {
      return tvm_tensor(const_cast<void *>(data), device(), dtype, shape, owner);
    }
    const auto copy = aligned_memory(bytes);
    std::memcpy(copy.get(), data, bytes);
    return tvm_tensor(copy.get(), device(), dtype, shape, copy);
  }

  TvmValue zeros(size_t bytes, DLDataType dtype, const std::vector<int64_t> &shape) override {
    const auto memory = aligned_memory(bytes);
    return tvm_tensor(memory.get(), device(), dtype, shape, memory);
  }

  std::optional<DividedTensor> divided_zeros(size_t bytes, DLDataType dtype, const std::vector<int64_t> &shape,
                                             uint32_t count) override {
    if (bytes % kTensorAlignment != 0) return std::nullopt;
    const auto memory = aligned_memory(bytes * count);
    std::vector<int64_t> all = shape;
    all.front() *= count;
    DividedTensor divided = {tvm_tensor(memory.get(), device(), dtype, all, memory), {}};
    for (uint32_t i = 0; i < count; ++i) {
      auto *part = static_cast<std::byte *>(memory.get()) + i * bytes;
      divided.parts.push_back(tvm_tensor(part, device(), dtype, shape, memory));
    }
    return divided;
  }

  const void *content(const DLTensor &tensor, size_t) override {
    return static_cast<const std::byte *>(tensor.data) + tensor.byte_offset;
  }
};

}  // namespace

std::unique_ptr<DeviceBackend> cpu_backend() { return std::make_unique<CpuBackend>(); }

}  // namespace se
