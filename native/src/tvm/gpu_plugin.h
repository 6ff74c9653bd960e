// TVM's DeviceAPI and module interfaces on top of our GPU devices, the same for every GPU API.
//
// TVM reaches a device through a C++ class, and its libraries may have been built with another C++ library than this
// code. So nothing here passes a type of the C++ library or an exception to it: failures are stored and reported by
// `take_gpu_failure` instead.
//
// `Traits` names: kName ("opencl"), kDevice (kDLOpenCL), kFormat ("cl"), and the types Device, Buffer and Programs,
// where a Device has open, allocate, release, write, read, copy and finish, and Programs(device, parts) has run;
// kReplaces: whether it replaces TVM's own device of that name.
#pragma once

#include <tvm/ffi/extra/module.h>
#include <tvm/runtime/device_api.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tvm/gpu_cache.h"
#include "tvm/gpu_code.h"
#include "tvm/gpu_failure.h"
#include "tvm/gpu_types.h"

namespace se {

template <typename Traits>
class GpuDeviceApi final : public tvm::runtime::DeviceAPI {
  using Device = typename Traits::Device;
  using Buffer = typename Traits::Buffer;

 public:
  void SetDevice(tvm::Device) final {}
  void GetAttr(tvm::Device device, tvm::runtime::DeviceAttrKind kind, tvm::ffi::Any *out) final {
    if (kind != tvm::runtime::kExist) return;
    bool exists = false;
    try {
      Device::open();
      exists = device.device_id == 0;
    } catch (const Error &) {
      exists = false;
    }
    *out = static_cast<int64_t>(exists);
  }
  // Null if there is no memory: the kernel that gets it then fails with the reason stored here.
  void *AllocDataSpace(tvm::Device, size_t bytes, size_t, DLDataType) final {
    void *made = nullptr;
    kept([&] { made = Device::open().allocate(bytes); });
    return made;
  }
  using DeviceAPI::AllocDataSpace;
  void FreeDataSpace(tvm::Device, void *data) final {
    if (data == nullptr) return;
    kept([&] { Device::open().release(static_cast<Buffer *>(data)); });
  }
  void StreamSync(tvm::Device, TVMStreamHandle) final {
    kept([] { Device::open().finish(); });
  }

 protected:
  void CopyDataFromTo(const void *from, size_t from_offset, void *to, size_t to_offset, size_t bytes,
                      tvm::Device from_device, tvm::Device to_device, DLDataType, TVMStreamHandle) final {
    kept([&] {
      if (from == nullptr || to == nullptr)
        throw Error(SE_OOM_VRAM, "a copy from or to memory that could not be allocated");
      Device &device = Device::open();
      const bool reads = from_device.device_type == Traits::kDevice;
      const bool writes = to_device.device_type == Traits::kDevice;
      auto *source = const_cast<void *>(from);
      if (reads && writes) {
        device.copy(*static_cast<Buffer *>(source), from_offset, *static_cast<Buffer *>(to), to_offset, bytes);
      } else if (reads) {
        device.read(*static_cast<Buffer *>(source), from_offset, static_cast<char *>(to) + to_offset, bytes);
      } else {
        device.write(*static_cast<Buffer *>(to), to_offset, static_cast<char *>(source) + from_offset, bytes);
      }
    });
  }
};

template <typename Traits>
class GpuKernels {
 public:
  explicit GpuKernels(GpuCodeParts parts) : parts_(std::move(parts)) {
    if (parts_.format != Traits::kFormat) refuse_gpu_code();
  }

  const GpuSignature *find(const std::string &name) const {
    const auto found = parts_.signatures.find(name);
    return found == parts_.signatures.end() ? nullptr : &found->second;
  }
  const std::string &code() const { return parts_.code; }

  void call(const std::string &name, const TVMFFIAny *values, size_t count) {
    const GpuSignature &signature = *find(name);
    if (count != signature.arguments.size() + signature.extents.size()) refuse_gpu_code();
    std::vector<GpuArgument> arguments;
    std::vector<int32_t> narrowed(signature.arguments.size());
    for (size_t i = 0; i < signature.arguments.size(); ++i) {
      const DLDataType type = signature.arguments[i];
      if (type.code == kDLOpaqueHandle) {
        auto *buffer = static_cast<typename Traits::Buffer *>(values[i].v_ptr);
        if (buffer == nullptr) throw Error(SE_OOM_VRAM, "kernel " + ticked(name) + " was given no memory to work on");
        arguments.push_back({&buffer->memory, sizeof buffer->memory, buffer});
      } else if (type.bits == 64) {
        arguments.push_back({&values[i].v_int64, 8, nullptr});
      } else if (type.bits == 32 && type.code != kDLFloat) {
        narrowed[i] = static_cast<int32_t>(values[i].v_int64);
        arguments.push_back({&narrowed[i], 4, nullptr});
      } else {
        refuse_gpu_code();
      }
    }
    size_t work[6] = {1, 1, 1, 1, 1, 1};
    for (size_t i = 0; i < signature.extents.size(); ++i) {
      const int64_t extent = values[signature.arguments.size() + i].v_int64;
      if (extent < 1) return;  // nothing to do
      work[signature.extents[i]] = static_cast<size_t>(extent);
    }
    programs().run(name, arguments, work, work + 3);
  }

 private:
  typename Traits::Programs &programs() {
    const std::lock_guard lock(mutex_);
    if (!built_) built_ = std::make_unique<typename Traits::Programs>(Traits::Device::open(), parts_);
    return *built_;
  }

  GpuCodeParts parts_;
  std::mutex mutex_;
  std::unique_ptr<typename Traits::Programs> built_;
};

// A kernel as TVM calls it: through its C interface, which returns failures.
template <typename Traits>
struct GpuLauncher {
  std::shared_ptr<GpuKernels<Traits>> kernels;
  std::string name;

  static int call(void *self, const TVMFFIAny *values, int32_t count, TVMFFIAny *result) {
    const auto *launcher = static_cast<GpuLauncher *>(self);
    result->type_index = kTVMFFINone;
    if (kept([&] { launcher->kernels->call(launcher->name, values, static_cast<size_t>(count)); })) return 0;
    TVMFFIErrorSetRaisedFromCStr("RuntimeError", kept_gpu_failure());
    return -1;
  }
};

template <typename Traits>
class GpuModule final : public tvm::ffi::ModuleObj {
 public:
  explicit GpuModule(std::shared_ptr<GpuKernels<Traits>> kernels) : kernels_(std::move(kernels)) {}
  const char *kind() const final { return Traits::kName; }
  int GetPropertyMask() const final { return tvm::ffi::Module::kRunnable; }
  tvm::ffi::Optional<tvm::ffi::Function> GetFunction(const tvm::ffi::String &name) final {
    using Launcher = GpuLauncher<Traits>;
    std::unique_ptr<Launcher> launcher;
    kept([&] { launcher = std::make_unique<Launcher>(Launcher{kernels_, std::string(name.data(), name.size())}); });
    if (!launcher || kernels_->find(launcher->name) == nullptr) return std::nullopt;
    TVMFFIObjectHandle handle = nullptr;
    const auto drop = [](void *self) { delete static_cast<Launcher *>(self); };
    if (TVMFFIFunctionCreate(launcher.get(), Launcher::call, drop, &handle) != 0) return std::nullopt;
    launcher.release();
    return tvm::ffi::Function(tvm::ffi::details::ObjectUnsafe::ObjectPtrFromOwned<tvm::ffi::FunctionObj>(
        static_cast<TVMFFIObject *>(handle)));
  }
  tvm::ffi::String InspectSource(const tvm::ffi::String &) const final { return kernels_->code(); }

 private:
  std::shared_ptr<GpuKernels<Traits>> kernels_;
};

// ffi.Module.load_from_bytes.NAME: bytes → module.
template <typename Traits>
int load_gpu_module(void *, const TVMFFIAny *values, int32_t count, TVMFFIAny *result) {
  const bool worked = kept([&] {
    if (count != 1 || (values[0].type_index != kTVMFFIBytes && values[0].type_index != kTVMFFISmallBytes)) {
      refuse_gpu_code();
    }
    const tvm::ffi::Bytes bytes = tvm::ffi::AnyView::CopyFromTVMFFIAny(values[0]).cast<tvm::ffi::Bytes>();
    GpuCodeParts parts = read_gpu_code(bytes.data(), bytes.size());
    parts.cache_folder = gpu_cache_folder(Traits::kName);
    auto kernels = std::make_shared<GpuKernels<Traits>>(std::move(parts));
    tvm::ffi::Any module = tvm::ffi::Module(tvm::ffi::make_object<GpuModule<Traits>>(std::move(kernels)));
    *result = tvm::ffi::details::AnyUnsafe::MoveAnyToTVMFFIAny(std::move(module));
  });
  if (worked) return 0;
  TVMFFIErrorSetRaisedFromCStr("RuntimeError", kept_gpu_failure());
  return -1;
}

// device_api.NAME: → the device's address.
template <typename Traits>
int gpu_device_address(void *, const TVMFFIAny *, int32_t, TVMFFIAny *result) {
  static GpuDeviceApi<Traits> device;
  result->type_index = kTVMFFIOpaquePtr;
  result->v_ptr = static_cast<tvm::runtime::DeviceAPI *>(&device);
  return 0;
}

// Registers both with TVM's runtime; false if another library has registered them, whose buffers are not ours.
template <typename Traits>
bool register_gpu() {
  const auto registered = [](const std::string &name, TVMFFISafeCallType function) {
    const TVMFFIByteArray bytes = {name.data(), name.size()};
    TVMFFIObjectHandle handle = nullptr;
    if (TVMFFIFunctionCreate(nullptr, function, nullptr, &handle) != 0) return false;
    const bool is_ours = TVMFFIFunctionSetGlobal(&bytes, handle, Traits::kReplaces ? 1 : 0) == 0;
    TVMFFIObjectDecRef(handle);
    TVMFFIObjectHandle error = nullptr;
    TVMFFIErrorMoveFromRaised(&error);
    if (error != nullptr) TVMFFIObjectDecRef(error);
    return is_ours;
  };
  const std::string name = Traits::kName;
  return registered("device_api." + name, gpu_device_address<Traits>) &&
         registered("ffi.Module.load_from_bytes." + name, load_gpu_module<Traits>);
}

}  // namespace se
