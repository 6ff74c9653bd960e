// A library of the system, such as a GPU's driver: loaded once, when it is first needed, and kept.
#pragma once

#include <dlfcn.h>

#include <mutex>

#include "base/status.h"

namespace se {

class DriverLibrary {
 public:
  // If it does not exist, `find` finds nothing.
  explicit DriverLibrary(const char *path) : library_(::dlopen(path, RTLD_NOW | RTLD_LOCAL)) {}
  DriverLibrary(const DriverLibrary &) = delete;
  DriverLibrary &operator=(const DriverLibrary &) = delete;
  ~DriverLibrary() {
    if (library_ != nullptr) ::dlclose(library_);
  }

  template <typename Function>
  bool find(const char *name, Function &out) const {
    out = library_ == nullptr ? nullptr : reinterpret_cast<Function>(::dlsym(library_, name));
    return out != nullptr;
  }
  // Keeps it loaded for the life of the process if it has all that is needed; returns `is_complete`.
  bool keep_if(bool is_complete) {
    if (is_complete) library_ = nullptr;
    return is_complete;
  }

 private:
  void *library_;
};

// The functions of the first of `paths` for which `load(path, Api &)` succeeds. Throws `missing` if there is none, and
// tries again at the next call.
template <typename Api, typename Paths, typename Load>
const Api &loaded_once(const Paths &paths, const Load &load, const Error &missing) {
  static std::mutex mutex;
  static Api loaded{};
  static bool is_loaded = false;
  const std::lock_guard lock(mutex);
  for (const char *path : paths) is_loaded = is_loaded || load(path, loaded);
  if (!is_loaded) throw Error(missing);
  return loaded;
}

}  // namespace se
