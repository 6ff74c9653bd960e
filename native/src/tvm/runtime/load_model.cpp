// Makes TVM's runtime, if it is built from sources, load compiled models with our own loader.
#include <tvm/ffi/reflection/registry.h>

#include <memory>
#include <utility>

#include "base/status.h"
#include "module_internal.h"
#include "tvm/elf_loader.h"

namespace {

using tvm::ffi::String;

class LoadedModel final : public tvm::ffi::Library {
 public:
  explicit LoadedModel(std::unique_ptr<se::ElfLibrary> image) : image_(std::move(image)) {}
  void *GetSymbol(const String &name) override { return image_->symbol(name); }

 private:
  std::unique_ptr<se::ElfLibrary> image_;
};

tvm::ffi::Module load(const String &path, const String &) {
  try {
    auto image = std::make_unique<se::ElfLibrary>(std::string(path));
    return tvm::ffi::CreateLibraryModule(tvm::ffi::make_object<LoadedModel>(std::move(image)));
  } catch (const se::Error &error) {
    TVM_FFI_THROW(RuntimeError) << error.what();
  }
}

}  // namespace

TVM_FFI_STATIC_INIT_BLOCK() { tvm::ffi::reflection::GlobalDef().def("ffi.Module.load_from_file.so", load); }
