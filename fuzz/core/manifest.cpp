// The manifest of a bundle whose files are all missing.
#include <fstream>

#include "formats/bundle.h"
#include "target.h"

namespace {

// A new folder in memory.
std::filesystem::path empty_bundle() {
  std::string name = "/dev/shm/fuzz-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) std::abort();
  return name;
}

const Target manifest_target("manifest", [](const std::string &data) {
  static const std::filesystem::path folder = empty_bundle();
  std::ofstream(folder / "bundle.json", std::ios::binary) << data;
  se::read_bundle(folder);
});

}  // namespace
