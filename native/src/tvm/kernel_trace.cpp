// The virtual machine calls the instrument before and after each kernel: (function, name, before, result, arguments…).
#include "tvm/kernel_trace.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "base/log.h"

namespace se {
namespace {

constexpr int32_t kArgumentsBegin = 4;

float widened(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const int mantissa = half & 1023;
  const float magnitude = exponent == 31  ? (mantissa != 0 ? NAN : INFINITY)
                          : exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                                          : std::ldexp(static_cast<float>(mantissa | 1024), exponent - 25);
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

struct Trace {
  const TraceCallback *callback;
  DeviceBackend *device;
};

bool is_rows_of_floats(const DLTensor &tensor, DLDevice device) {
  const bool floats =
      tensor.dtype.code == kDLFloat && tensor.dtype.lanes == 1 && (tensor.dtype.bits == 32 || tensor.dtype.bits == 16);
  const bool within_reach = tensor.device.device_type == kDLCPU || tensor.device.device_type == device.device_type;
  return floats && within_reach && tensor.ndim >= 2 && tensor.data != nullptr;
}

// A float32 view of a tensor; `copies` owns what had to be widened or copied from a GPU.
KernelTensor view_of(const DLTensor &tensor, DeviceBackend &device, std::vector<std::vector<float>> &copies) {
  size_t columns = 1;
  for (int i = 1; i < tensor.ndim; ++i) columns *= static_cast<size_t>(tensor.shape[i]);
  const auto rows = static_cast<size_t>(tensor.shape[0]);
  const bool is_here = tensor.device.device_type == kDLCPU;
  const void *bytes = is_here ? static_cast<const std::byte *>(tensor.data) + tensor.byte_offset
                              : device.content(tensor, rows * columns * tensor.dtype.bits / 8);
  if (is_here && tensor.dtype.bits == 32) return {static_cast<const float *>(bytes), rows, columns};
  std::vector<float> &copy = copies.emplace_back(rows * columns);
  if (tensor.dtype.bits == 32) {
    std::memcpy(copy.data(), bytes, copy.size() * sizeof(float));
  } else {
    const auto *halves = static_cast<const uint16_t *>(bytes);
    for (size_t i = 0; i < copy.size(); ++i) copy[i] = widened(halves[i]);
  }
  return {copy.data(), rows, columns};
}

std::string name_of(const TVMFFIAny &any) {
  if (any.type_index == kTVMFFIRawStr) return any.v_c_str;
  if (any.type_index == kTVMFFISmallStr) {
    const TVMFFIByteArray bytes = TVMFFISmallBytesGetContentByteArray(&any);
    return {bytes.data, bytes.size};
  }
  if (any.type_index == kTVMFFIStr) {
    const TVMFFIByteArray *bytes = TVMFFIBytesGetByteArrayPtr(any.v_obj);
    return {bytes->data, bytes->size};
  }
  return "";
}

// TVMFFISafeCallType. Never fails: tracing does not change the model's output.
int on_kernel(void *self, const TVMFFIAny *arguments, int32_t count, TVMFFIAny *result) {
  result->type_index = kTVMFFINone;
  const Trace &trace = *static_cast<const Trace *>(self);
  const bool after = count > kArgumentsBegin && arguments[2].v_int64 == 0;
  if (!*trace.callback || !after) return 0;
  std::vector<std::vector<float>> copies;
  std::vector<KernelTensor> tensors;
  try {
    for (int32_t i = kArgumentsBegin; i < count; ++i) {
      if (arguments[i].type_index != kTVMFFITensor) continue;
      const DLTensor &tensor = *TVMFFITensorGetDLTensorPtr(arguments[i].v_obj);
      if (is_rows_of_floats(tensor, trace.device->device())) tensors.push_back(view_of(tensor, *trace.device, copies));
    }
  } catch (const std::exception &problem) {
    log(SE_LOG_WARNING, "the tensors of a kernel cannot be read: " + std::string(problem.what()));
  }
  (*trace.callback)(name_of(arguments[1]).c_str(), tensors);
  return 0;
}

void release(void *self) { delete static_cast<const Trace *>(self); }

}  // namespace

TvmValue kernel_instrument(const TraceCallback *callback, DeviceBackend *device) {
  auto *self = new Trace{callback, device};
  TVMFFIObjectHandle function = nullptr;
  if (TVMFFIFunctionCreate(self, on_kernel, release, &function) != 0) {
    release(self);
    throw Error(SE_INTERNAL, "cannot trace the compiled model: " + take_tvm_error());
  }
  return TvmValue::adopt(function);
}

}  // namespace se
