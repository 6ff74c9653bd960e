// Finds the folder: the app's, the environment's or the system's.
#include "tvm/gpu_cache.h"

#include <cstdlib>
#include <utility>

namespace se {
namespace fs = std::filesystem;
namespace {

thread_local fs::path scope_folder;

}  // namespace

GpuCacheScope::GpuCacheScope(fs::path folder) : outer_(std::exchange(scope_folder, std::move(folder))) {}
GpuCacheScope::~GpuCacheScope() { scope_folder = std::move(outer_); }

fs::path gpu_cache_folder(const std::string &kind) {
  if (!scope_folder.empty()) return scope_folder / kind;
  if (const char *own = std::getenv("SPHERE_EDGE_CACHE"); own != nullptr && *own != '\0') return fs::path(own) / kind;
  if (const char *caches = std::getenv("XDG_CACHE_HOME"); caches != nullptr && *caches == '/') {
    return fs::path(caches) / "sphere-edge" / kind;
  }
  if (const char *home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return fs::path(home) / ".cache" / "sphere-edge" / kind;
  }
  return {};
}

}  // namespace se
