// Wraps tvm_ffi's C API.
#include "tvm/objects.h"

#include <sys/mman.h>

#include <utility>

namespace se {
namespace {

TVMFFIByteArray bytes_of(const std::string &text) { return {text.data(), text.size()}; }

// Keeps what a tensor over foreign memory needs alive for as long as TVM uses it.
struct ForeignTensor {
  DLManagedTensor managed{};
  std::vector<int64_t> shape;
  std::shared_ptr<void> owner;
};

void check(int status, const char *what) {
  if (status != 0) throw Error(SE_INTERNAL, std::string(what) + ": " + take_tvm_error());
}

}  // namespace

TvmValue::TvmValue(const std::string &text) {
  const TVMFFIByteArray bytes = bytes_of(text);
  check(TVMFFIStringFromByteArray(&bytes, &value_), "cannot make a string");
}

TvmValue TvmValue::adopt(TVMFFIObjectHandle object) {
  TvmValue value;
  value.value_.type_index = TVMFFIObjectGetTypeIndex(object);
  value.value_.v_obj = static_cast<TVMFFIObject *>(object);
  return value;
}

TvmValue TvmValue::adopt(const TVMFFIAny &any) {
  TvmValue value;
  value.value_ = any;
  return value;
}

TvmValue::TvmValue(const TvmValue &other) noexcept : value_(other.value_) {
  if (owns()) TVMFFIObjectIncRef(value_.v_obj);
}

void TvmValue::release() noexcept {
  if (owns()) TVMFFIObjectDecRef(value_.v_obj);
  value_ = TVMFFIAny{};
}

TvmValue TvmValue::call(std::span<const TvmValue> arguments, se_status status) const {
  if (!is(kTVMFFIFunction)) throw Error(SE_INTERNAL, "a TVM value that is not a function was called");
  std::vector<TVMFFIAny> views;
  views.reserve(arguments.size());
  for (const TvmValue &argument : arguments) views.push_back(argument.any());
  TVMFFIAny result{};
  if (TVMFFIFunctionCall(value_.v_obj, views.data(), static_cast<int32_t>(views.size()), &result) != 0) {
    throw Error(status, "the compiled model failed: " + take_tvm_error());
  }
  return adopt(result);
}

TvmValue tvm_global(const std::string &name) {
  const TVMFFIByteArray bytes = bytes_of(name);
  TVMFFIObjectHandle handle = nullptr;
  check(TVMFFIFunctionGetGlobal(&bytes, &handle), "cannot look up a TVM function");
  if (handle == nullptr) throw Error(SE_INTERNAL, "the TVM runtime has no function " + ticked(name));
  return TvmValue::adopt(handle);
}

TvmValue tvm_function(const TvmValue &module, const std::string &name) {
  if (auto found = tvm_function_if_any(module, name)) return *std::move(found);
  throw Error(SE_MODEL_CORRUPT, "the compiled model has no function " + ticked(name), "package the model again");
}

std::optional<TvmValue> tvm_function_if_any(const TvmValue &module, const std::string &name) {
  static const TvmValue lookup = tvm_global("ffi.ModuleGetFunction");
  TvmValue function = lookup.call({module, TvmValue(name), TvmValue(int64_t{0})}, SE_LOAD_FAILED);
  if (!function.is(kTVMFFIFunction)) return std::nullopt;
  return function;
}

std::string take_tvm_error() {
  TVMFFIObjectHandle handle = nullptr;
  TVMFFIErrorMoveFromRaised(&handle);
  if (handle == nullptr) return "no reason given";
  const TVMFFIErrorCell *error = TVMFFIErrorGetCellPtr(handle);
  std::string message(error->message.data, error->message.size);
  TVMFFIObjectDecRef(handle);
  const size_t line_end = message.find('\n');
  return line_end == std::string::npos ? message : message.substr(0, line_end);
}

TvmValue tvm_tensor(void *data, DLDevice device, DLDataType dtype, std::vector<int64_t> shape,
                    std::shared_ptr<void> owner) {
  auto foreign = std::make_unique<ForeignTensor>();
  foreign->shape = std::move(shape);
  foreign->owner = std::move(owner);
  DLTensor &tensor = foreign->managed.dl_tensor;
  tensor.data = data;
  tensor.device = device;
  tensor.ndim = static_cast<int32_t>(foreign->shape.size());
  tensor.dtype = dtype;
  tensor.shape = foreign->shape.data();
  foreign->managed.manager_ctx = foreign.get();
  foreign->managed.deleter = [](DLManagedTensor *self) { delete static_cast<ForeignTensor *>(self->manager_ctx); };
  TVMFFIObjectHandle handle = nullptr;
  check(TVMFFITensorFromDLPack(&foreign->managed, kTensorAlignment, 1, &handle), "cannot make a tensor");
  foreign.release();
  return TvmValue::adopt(handle);
}

std::shared_ptr<void> aligned_memory(size_t bytes) {
  // Anonymous pages are zero, aligned, and resident only where touched: an unused part of the context costs nothing.
  bytes = bytes == 0 ? 1 : bytes;
  void *memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error(SE_OOM_RAM, "cannot allocate " + ticked(std::to_string(bytes)) + " bytes",
                "open with a shorter context or close other programs");
  }
#if defined(MADV_HUGEPAGE)
  ::madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return {memory, [bytes](void *address) { ::munmap(address, bytes); }};
}

}  // namespace se
