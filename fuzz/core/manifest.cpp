// The manifest of a bundle whose files are all missing.
#include <cstdlib>
#include <fstream>

#include "formats/bundle.h"
#include "target.h"

namespace {

const Target manifest_target("manifest", [](const std::string &data) {
  // Where fuzz/running.py puts files for a run.
  const char *place = std::getenv("SE_FUZZ_FOLDER");
  static const std::filesystem::path folder = place == nullptr ? "." : place;
  std::ofstream(folder / "bundle.json", std::ios::binary) << data;
  se::read_bundle(folder);
});

}  // namespace
