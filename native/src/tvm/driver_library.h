// A library that the device brings, such as a GPU's driver: looked for when it is needed, loaded once, kept.
#pragma once

#include <dlfcn.h>

#include <mutex>

#include "base/status.h"

namespace se {

class DriverLibrary {
 public:
  // Where there is none, nothing is found in it.
  explicit DriverLibrary(const char *place) : library_(::dlopen(place, RTLD_NOW | RTLD_LOCAL)) {}
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
  // Kept for the life of the process if it has all that is needed; gives `is_whole`.
  bool keep_if(bool is_whole) {
    if (is_whole) library_ = nullptr;
    return is_whole;
  }

 private:
  void *library_;
};

// The functions in the first of `places` that `load(place, Api &)` takes. Throws `missing` where there is none, and
// looks again at the next call.
template <typename Api, typename Places, typename Load>
const Api &loaded_once(const Places &places, const Load &load, const Error &missing) {
  static std::mutex mutex;
  static Api loaded{};
  static bool is_loaded = false;
  const std::lock_guard lock(mutex);
  for (const char *place : places) is_loaded = is_loaded || load(place, loaded);
  if (!is_loaded) throw Error(missing);
  return loaded;
}

}  // namespace se
