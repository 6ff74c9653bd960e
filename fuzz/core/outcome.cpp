// What a reader may do with any bytes: take them, or refuse them with an error that has a status.
//
//   fuzz-core NAME [libFuzzer's options]
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>

#include "base/status.h"
#include "target.h"

namespace {

using Read = void (*)(const std::string &);

std::map<std::string, Read> &targets() {
  static std::map<std::string, Read> all;
  return all;
}

Read chosen = nullptr;

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

Target::Target(const std::string &name, Read read) { targets()[name] = read; }

std::filesystem::path file_with(const std::string &data) {
  static const int file = memfd_create("fuzzed", 0);
  const auto size = static_cast<ssize_t>(data.size());
  if (ftruncate(file, 0) != 0 || pwrite(file, data.data(), data.size(), 0) != size) give_up("no file in memory");
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  return path;
}

extern "C" int LLVMFuzzerInitialize(int *count, char ***words) {
  const auto found = *count > 1 ? targets().find((*words)[1]) : targets().end();
  if (found == targets().end()) give_up("no target of that name");
  chosen = found->second;
  // libFuzzer takes any other word for a folder.
  (*words)[1] = (*words)[0];
  --*count;
  ++*words;
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const double limit = limit_s();
  const std::clock_t began = std::clock();
  try {
    chosen(std::string(reinterpret_cast<const char *>(data), size));
  } catch (const se::Error &error) {
    if (error.status == SE_INTERNAL) give_up(error.what());
  }
  const double took = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
  if (limit > 0 && took > limit) give_up("more CPU time than one input may take");
  return 0;
}
