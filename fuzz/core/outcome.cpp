// What a reader may do with any bytes: take them, or refuse them with an error that has a status.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "base/status.h"
#include "target.h"

namespace {

// Seconds of CPU time that one input may take; 0: any. How busy the machine is does not matter.
double limit_s() {
  const char *text = std::getenv("SE_FUZZ_LIMIT_S");
  return text == nullptr ? 0 : std::strtod(text, nullptr);
}

[[noreturn]] void give_up(const char *why) {
  std::fprintf(stderr, "%s\n", why);
  std::abort();
}

}  // namespace

std::filesystem::path file_with(const std::string &data) {
  static const int file = memfd_create("fuzzed", 0);
  const auto size = static_cast<ssize_t>(data.size());
  if (ftruncate(file, 0) != 0 || pwrite(file, data.data(), data.size(), 0) != size) give_up("no file in memory");
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  return path;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const double limit = limit_s();
  const std::clock_t began = std::clock();
  try {
    read(std::string(reinterpret_cast<const char *>(data), size));
  } catch (const se::Error &error) {
    if (error.status == SE_INTERNAL) give_up(error.what());
  }
  const double took = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
  if (limit > 0 && took > limit) give_up("more CPU time than one input may take");
  return 0;
}
