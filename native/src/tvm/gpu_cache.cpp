// Finds the folder: the app's, the environment's or the system's.
#include "tvm/gpu_cache.h"

#include <cstdlib>
#include <sstream>
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

uint64_t fnv1a(const std::string &text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char letter : text) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3;
  return hash;
}

std::string hexadecimal(uint64_t number) {
  std::ostringstream out;
  out << std::hex << number;
  return out.str();
}

}  // namespace se
