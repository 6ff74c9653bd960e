// Loads a library once per process, or finds what is linked in by its prefix.
#include "tvm/library.h"

#if !defined(SE_TVM_FROM_SOURCE)
#include <dlfcn.h>
#endif
#include <sys/stat.h>

#include <cctype>
#include <filesystem>
#include <map>
#include <mutex>
#include <utility>

#include "base/status.h"
#include "tvm/loops.h"

namespace se {
namespace {

#if !defined(SE_TVM_FROM_SOURCE)

// Compiled modules do not name a library for the few TVM functions they call, so those must be globally visible, also
// when an application loaded us locally (as Java and Python do).
void show_tvm_to_modules() {
#if defined(__APPLE__)
  ::dlopen("@rpath/libtvm_ffi.dylib", RTLD_LAZY | RTLD_NOLOAD | RTLD_GLOBAL);
#else
  ::dlopen("libtvm_ffi.so", RTLD_LAZY | RTLD_NOLOAD | RTLD_GLOBAL);
#endif
}

#endif

// Object files that are linked into the app registered themselves with TVM's runtime under a prefix at startup.
TvmValue linked_in(const Bundle &bundle, const std::string &backend) {
  std::string prefix = "sphere_edge_" + bundle.name + "_" + (backend == "cpu" ? "" : backend + "_");
  for (char &letter : prefix) {
    if (!std::isalnum(static_cast<unsigned char>(letter))) letter = '_';
  }
  std::string reason;
  try {
    TvmValue module = tvm_global("ffi.SystemLib").call({TvmValue(prefix)}, SE_LOAD_FAILED);
    // TVM returns a module for every prefix: one that was not linked in has no functions.
    tvm_function(module, "vm_load_executable");
    return module;
  } catch (const Error &error) {
    reason = error.message;
  }
  throw Error(SE_LOAD_FAILED, "no model with the prefix " + ticked(prefix) + " is linked into this program: " + reason,
              "link the object files of the bundle's lib/ into the app");
}

// The library of each bundle is loaded once, however often the bundle is open: its context is a global of it.
TvmValue load_library(const std::filesystem::path &path) {
  static std::mutex mutex;
  static std::map<std::string, TvmValue> loaded;
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) throw Error(SE_MODEL_CORRUPT, "no library " + ticked(path.string()));
  const std::string key = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) + ":" +
                          std::to_string(status.st_mtime) + ":" + std::to_string(status.st_size);
  const std::lock_guard lock(mutex);
  if (const auto found = loaded.find(key); found != loaded.end()) return found->second;
#if !defined(SE_TVM_FROM_SOURCE)
  show_tvm_to_modules();
#endif
  TvmValue module = tvm_global("ffi.ModuleLoadFromFile").call({TvmValue(path.string())}, SE_LOAD_FAILED);
#if !defined(SE_TVM_FROM_SOURCE)
  take_over_loops(path);
#endif
  return loaded.emplace(key, std::move(module)).first->second;
}

}  // namespace

TvmValue compiled_code(const Bundle &bundle, const std::string &backend) {
  return bundle.is_linked_in() ? linked_in(bundle, backend) : load_library(bundle.library(backend).path);
}

}  // namespace se
