// TVM's objects through its C API only: reference counts, calls, tensors over our memory.
//
// The wheel's libraries are built with another C++ library than ours may be, so no C++ exception and no C++ type may
// cross: the inline C++ API of tvm_ffi throws through its function pointers, its C API reports errors as values.
#pragma once

#include <tvm/ffi/c_api.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace se {

// A value that TVM functions take and return. Owns one reference if it is an object.
class TvmValue {
 public:
  TvmValue() = default;
  TvmValue(int64_t number) { value_.type_index = kTVMFFIInt, value_.v_int64 = number; }
  explicit TvmValue(const std::string &text);
  // Takes over a reference.
  static TvmValue adopt(TVMFFIObjectHandle object);
  static TvmValue adopt(const TVMFFIAny &any);

  ~TvmValue() { release(); }
  TvmValue(const TvmValue &other) noexcept;
  TvmValue(TvmValue &&other) noexcept : value_(std::exchange(other.value_, TVMFFIAny{})) {}
  TvmValue &operator=(TvmValue other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }

  const TVMFFIAny &any() const { return value_; }
  bool is(int32_t type_index) const { return value_.type_index == type_index; }
  // Only for a tensor.
  const DLTensor &tensor() const { return *TVMFFITensorGetDLTensorPtr(value_.v_obj); }

  // Calls this function object. Throws LOAD_FAILED or whatever `status` says with TVM's own message.
  TvmValue call(std::span<const TvmValue> arguments, se_status status) const;
  TvmValue call(std::initializer_list<TvmValue> arguments, se_status status) const {
    return call(std::span(arguments.begin(), arguments.size()), status);
  }

 private:
  void release() noexcept;
  bool owns() const { return value_.type_index >= kTVMFFIStaticObjectBegin; }

  TVMFFIAny value_{};
};

// A function from TVM's global registry, or of a module; INTERNAL or MODEL_CORRUPT if it is missing.
TvmValue tvm_global(const std::string &name);
TvmValue tvm_function(const TvmValue &module, const std::string &name);
// The same; nothing if it is missing.
std::optional<TvmValue> tvm_function_if_any(const TvmValue &module, const std::string &name);

// Takes the error that TVM raised on this thread and returns its message.
std::string take_tvm_error();

// A tensor over `data` of a device, which `owner` keeps alive; 64-byte aligned.
TvmValue tvm_tensor(void *data, DLDevice device, DLDataType dtype, std::vector<int64_t> shape,
                    std::shared_ptr<void> owner);

// Zeroed memory of this size, 64-byte aligned. OOM_RAM when there is none.
std::shared_ptr<void> aligned_memory(size_t bytes);

constexpr size_t kTensorAlignment = 64;

}  // namespace se
