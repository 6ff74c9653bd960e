// A compiled model on an OpenCL device: weights and KV cache are copied there once, logits come back.
#include <utility>

#include "../engines/tvm_place.h"
#include "opencl_device.h"
#include "opencl_plugin.h"

namespace se {
namespace {

// Each buffer is given back to the device's pool by us, not kept by TVM.
constexpr int64_t kNaiveAllocator = 1;

class OpenclPlace final : public TvmPlace {
 public:
  explicit OpenclPlace(bool half) : gpu_(cl::Device::open()) {
    if (half && !gpu_.computes_half()) {
      throw Error(SE_UNSUPPORTED, "the GPU " + ticked(gpu_.name()) + " does not compute in float16",
                  "package for a profile whose gpu has half_precision = false");
    }
    take_opencl_failure();
  }
  ~OpenclPlace() override {
    gpu_.profile(false);
    gpu_.trim();
  }

  DLDevice device() const override { return {kDLOpenCL, 0}; }
  std::string device_name() const override { return gpu_.name() + ", " + gpu_.driver(); }
  int64_t allocator() const override { return kNaiveAllocator; }

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

  const void *content(const DLTensor &tensor, size_t bytes) override {
    content_.resize(bytes);
    gpu_.read(*static_cast<const cl::Buffer *>(tensor.data), tensor.byte_offset, content_.data(), bytes);
    return content_.data();
  }

  std::optional<Error> take_failure() override { return take_opencl_failure(); }
  void measure_kernels(bool on) override { gpu_.profile(on); }
  std::vector<KernelSeconds> kernel_seconds() override {
    std::vector<KernelSeconds> all;
    for (const auto &[name, time] : gpu_.kernel_times()) {
      all.push_back({name, time.calls, static_cast<double>(time.nanoseconds) * 1e-9});
    }
    return all;
  }

 private:
  std::shared_ptr<cl::Buffer> memory(size_t bytes) {
    cl::Device &gpu = gpu_;
    return {gpu.allocate(bytes), [&gpu](cl::Buffer *buffer) { gpu.release(buffer); }};
  }

  cl::Device &gpu_;
  std::vector<std::byte> content_;
};

}  // namespace

std::unique_ptr<TvmPlace> opencl_place(bool half) { return std::make_unique<OpenclPlace>(half); }

}  // namespace se
