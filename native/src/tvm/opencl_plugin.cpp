// TVM's DeviceAPI and module interfaces over opencl_device and opencl_program.
#include "opencl_plugin.h"

#include <tvm/ffi/extra/module.h>
#include <tvm/runtime/device_api.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "opencl_program.h"

namespace se {
namespace {

using tvm::runtime::DeviceAPI;

constexpr size_t kMostKernels = 4096;
constexpr size_t kMostArguments = 128;

thread_local std::optional<Error> kept_failure;

void keep(const Error &error) {
  // The first failure is the reason for those that follow it.
  if (!kept_failure) kept_failure = error;
}

// Runs `body`, keeps what it throws and says whether it came to its end.
template <typename Body>
bool kept(Body &&body) noexcept {
  try {
    body();
    return true;
  } catch (const Error &error) {
    keep(error);
  } catch (const std::exception &error) {
    keep(Error(SE_INTERNAL, error.what()));
  } catch (...) {
    keep(Error(SE_INTERNAL, "unexpected failure of an unknown kind"));
  }
  return false;
}

class OpenclDevice final : public DeviceAPI {
 public:
  void SetDevice(tvm::Device) final {}
  void GetAttr(tvm::Device device, tvm::runtime::DeviceAttrKind kind, tvm::ffi::Any *out) final {
    if (kind != tvm::runtime::kExist) return;
    bool exists = false;
    try {
      cl::Device::open();
      exists = device.device_id == 0;
    } catch (const Error &) {
      exists = false;
    }
    *out = static_cast<int64_t>(exists);
  }
  // Null when there is no memory: the kernel that gets it then fails with the reason kept here.
  void *AllocDataSpace(tvm::Device, size_t bytes, size_t, DLDataType) final {
    void *made = nullptr;
    kept([&] { made = cl::Device::open().allocate(bytes); });
    return made;
  }
  using DeviceAPI::AllocDataSpace;
  void FreeDataSpace(tvm::Device, void *data) final {
    if (data == nullptr) return;
    kept([&] { cl::Device::open().release(static_cast<cl::Buffer *>(data)); });
  }
  void StreamSync(tvm::Device, TVMStreamHandle) final {
    kept([] { cl::Device::open().finish(); });
  }

 protected:
  void CopyDataFromTo(const void *from, size_t from_offset, void *to, size_t to_offset, size_t bytes,
                      tvm::Device from_device, tvm::Device to_device, DLDataType, TVMStreamHandle) final {
    kept([&] {
      if (from == nullptr || to == nullptr) throw Error(SE_OOM_VRAM, "a copy from or to memory that could not be had");
      cl::Device &device = cl::Device::open();
      const bool reads = from_device.device_type == kDLOpenCL;
      const bool writes = to_device.device_type == kDLOpenCL;
      auto *source = const_cast<void *>(from);
      if (reads && writes) {
        device.copy(*static_cast<cl::Buffer *>(source), from_offset, *static_cast<cl::Buffer *>(to), to_offset, bytes);
      } else if (reads) {
        device.read(*static_cast<cl::Buffer *>(source), from_offset, static_cast<char *>(to) + to_offset, bytes);
      } else {
        device.write(*static_cast<cl::Buffer *>(to), to_offset, static_cast<char *>(source) + from_offset, bytes);
      }
    });
  }
};

struct Signature {
  std::vector<DLDataType> arguments;
  // Where the numbers that follow the arguments go: 0-2 groups along x, y, z, 3-5 threads.
  std::vector<unsigned> extents;
};

// What TVM's compiler has written: format, kernels with the types of their arguments, source.
class Reader {
 public:
  Reader(const char *data, size_t bytes) : data_(data), left_(bytes) {}

  uint64_t count(uint64_t most) {
    uint64_t number = 0;
    take(&number, sizeof number);
    if (number > most) fail();
    return number;
  }
  std::string text(uint64_t most) {
    std::string words(std::min<uint64_t>(count(most), left_), '\0');
    take(words.data(), words.size());
    return words;
  }
  DLDataType type() {
    DLDataType type{};
    take(&type.code, 1);
    take(&type.bits, 1);
    take(&type.lanes, 2);
    return type;
  }
  void skip_numbers(uint64_t most) {
    for (uint64_t left = count(most); left > 0; --left) {
      int32_t unused = 0;
      take(&unused, sizeof unused);
    }
  }
  [[noreturn]] static void fail() {
    throw Error(SE_MODEL_CORRUPT, "the compiled model's kernels are damaged", "package the model again");
  }

 private:
  void take(void *out, size_t bytes) {
    if (bytes > left_) fail();
    std::memcpy(out, data_, bytes);
    data_ += bytes;
    left_ -= bytes;
  }
  const char *data_;
  size_t left_;
};

unsigned extent_of(const std::string &tag) {
  for (const auto &[prefix, first] : {std::pair("blockIdx.", 0U), std::pair("threadIdx.", 3U)}) {
    const std::string start(prefix);
    if (tag.size() == start.size() + 1 && tag.compare(0, start.size(), start) == 0) {
      const char axis = tag.back();
      if (axis >= 'x' && axis <= 'z') return first + static_cast<unsigned>(axis - 'x');
    }
  }
  Reader::fail();
}

class Kernels {
 public:
  Kernels(std::string source, std::map<std::string, Signature> signatures)
      : source_(std::move(source)), signatures_(std::move(signatures)) {}

  const Signature *find(const std::string &name) const {
    const auto found = signatures_.find(name);
    return found == signatures_.end() ? nullptr : &found->second;
  }
  const std::string &source() const { return source_; }

  void call(const std::string &name, const Signature &signature, const TVMFFIAny *values, size_t count) {
    if (count != signature.arguments.size() + signature.extents.size()) Reader::fail();
    std::vector<cl::KernelSet::Argument> arguments;
    std::vector<int32_t> narrowed(signature.arguments.size());
    for (size_t i = 0; i < signature.arguments.size(); ++i) {
      const DLDataType type = signature.arguments[i];
      if (type.code == kDLOpaqueHandle) {
        const auto *buffer = static_cast<const cl::Buffer *>(values[i].v_ptr);
        if (buffer == nullptr) throw Error(SE_OOM_VRAM, "kernel " + ticked(name) + " got no memory to work on");
        arguments.push_back({&buffer->memory, sizeof buffer->memory});
      } else if (type.bits == 64) {
        arguments.push_back({&values[i].v_int64, 8});
      } else if (type.bits == 32 && type.code != kDLFloat) {
        narrowed[i] = static_cast<int32_t>(values[i].v_int64);
        arguments.push_back({&narrowed[i], 4});
      } else {
        Reader::fail();
      }
    }
    size_t work[6] = {1, 1, 1, 1, 1, 1};
    for (size_t i = 0; i < signature.extents.size(); ++i) {
      const int64_t extent = values[signature.arguments.size() + i].v_int64;
      if (extent < 1) return;  // nothing to do
      work[signature.extents[i]] = static_cast<size_t>(extent);
    }
    const size_t global[3] = {work[0] * work[3], work[1] * work[4], work[2] * work[5]};
    programs().run(name, arguments, 3, global, work + 3);
  }

 private:
  cl::KernelSet &programs() {
    const std::lock_guard lock(mutex_);
    if (!built_) built_ = std::make_unique<cl::KernelSet>(cl::Device::open(), source_);
    return *built_;
  }

  std::string source_;
  std::map<std::string, Signature> signatures_;
  std::mutex mutex_;
  std::unique_ptr<cl::KernelSet> built_;
};

// A kernel as TVM calls it: through its C interface, where a failure is a value.
struct Launcher {
  std::shared_ptr<Kernels> kernels;
  std::string name;

  static int call(void *self, const TVMFFIAny *values, int32_t count, TVMFFIAny *result) {
    const auto *launcher = static_cast<Launcher *>(self);
    result->type_index = kTVMFFINone;
    const bool worked = kept([&] {
      const Signature *signature = launcher->kernels->find(launcher->name);
      launcher->kernels->call(launcher->name, *signature, values, static_cast<size_t>(count));
    });
    if (worked) return 0;
    TVMFFIErrorSetRaisedFromCStr("RuntimeError", kept_failure->message.c_str());
    return -1;
  }
};

class OpenclModule final : public tvm::ffi::ModuleObj {
 public:
  explicit OpenclModule(std::shared_ptr<Kernels> kernels) : kernels_(std::move(kernels)) {}
  const char *kind() const final { return "opencl"; }
  int GetPropertyMask() const final { return tvm::ffi::Module::kRunnable; }
  tvm::ffi::Optional<tvm::ffi::Function> GetFunction(const tvm::ffi::String &name) final {
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
  tvm::ffi::String InspectSource(const tvm::ffi::String &) const final { return kernels_->source(); }

 private:
  std::shared_ptr<Kernels> kernels_;
};

std::shared_ptr<Kernels> read_kernels(const char *data, size_t bytes) {
  Reader reader(data, bytes);
  if (reader.text(64) != "cl") Reader::fail();
  std::map<std::string, Signature> signatures;
  for (uint64_t left = reader.count(kMostKernels); left > 0; --left) {
    const std::string name = reader.text(1024);
    reader.text(1024);  // the name again
    Signature signature;
    for (uint64_t i = reader.count(kMostArguments); i > 0; --i) signature.arguments.push_back(reader.type());
    for (uint64_t i = reader.count(16); i > 0; --i) signature.extents.push_back(extent_of(reader.text(64)));
    reader.skip_numbers(kMostArguments);
    signatures.emplace(name, std::move(signature));
  }
  return std::make_shared<Kernels>(reader.text(bytes), std::move(signatures));
}

// ffi.Module.load_from_bytes.opencl: bytes → module.
int load_module(void *, const TVMFFIAny *values, int32_t count, TVMFFIAny *result) {
  const bool worked = kept([&] {
    if (count != 1 || (values[0].type_index != kTVMFFIBytes && values[0].type_index != kTVMFFISmallBytes))
      Reader::fail();
    const tvm::ffi::Bytes bytes = tvm::ffi::AnyView::CopyFromTVMFFIAny(values[0]).cast<tvm::ffi::Bytes>();
    tvm::ffi::Any module =
        tvm::ffi::Module(tvm::ffi::make_object<OpenclModule>(read_kernels(bytes.data(), bytes.size())));
    *result = tvm::ffi::details::AnyUnsafe::MoveAnyToTVMFFIAny(std::move(module));
  });
  if (worked) return 0;
  TVMFFIErrorSetRaisedFromCStr("RuntimeError", kept_failure->message.c_str());
  return -1;
}

// device_api.opencl: → the device's address.
int device_address(void *, const TVMFFIAny *, int32_t, TVMFFIAny *result) {
  static OpenclDevice device;
  result->type_index = kTVMFFIOpaquePtr;
  result->v_ptr = static_cast<DeviceAPI *>(&device);
  return 0;
}

bool register_function(const char *name, TVMFFISafeCallType function) {
  const TVMFFIByteArray bytes = {name, std::char_traits<char>::length(name)};
  TVMFFIObjectHandle handle = nullptr;
  if (TVMFFIFunctionCreate(nullptr, function, nullptr, &handle) != 0) return false;
  // A runtime that has OpenCL of its own keeps it, and its buffers are not ours: loading our modules then fails.
  const bool registered = TVMFFIFunctionSetGlobal(&bytes, handle, 0) == 0;
  TVMFFIObjectDecRef(handle);
  return registered;
}

[[maybe_unused]] const bool is_registered = register_function("device_api.opencl", device_address) &&
                                            register_function("ffi.Module.load_from_bytes.opencl", load_module);

}  // namespace

std::optional<Error> take_opencl_failure() { return std::exchange(kept_failure, std::nullopt); }

}  // namespace se
