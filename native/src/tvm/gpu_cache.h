// The folder for kernels that a driver has compiled, kept between runs.
#pragma once

#include <filesystem>
#include <string>

namespace se {

// While it lives, the code that this thread loads uses `folder`; empty: the user's cache folder, if the system has one.
class GpuCacheScope {
 public:
  explicit GpuCacheScope(std::filesystem::path folder);
  ~GpuCacheScope();
  GpuCacheScope(const GpuCacheScope &) = delete;
  GpuCacheScope &operator=(const GpuCacheScope &) = delete;

 private:
  std::filesystem::path outer_;
};

// The folder for `kind` in the cache folder of this thread's scope; empty if there is none.
std::filesystem::path gpu_cache_folder(const std::string &kind);

}  // namespace se
