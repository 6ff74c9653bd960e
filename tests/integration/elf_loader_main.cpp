// Loads libraries with ElfLibrary: `NAME` in the first is called with 1.0, of the others only their status is said.
#include <tvm/ffi/c_api.h>

#include <cstdio>

#include "base/status.h"
#include "tvm/elf_loader.h"

extern "C" void TVMFFIErrorSetRaisedFromCStrParts(const char *, const char **, int32_t) {}

int main(int count, char **words) {
  if (count < 3) return 64;
  const se::ElfLibrary image(words[2]);
  auto *function = reinterpret_cast<float (*)(float)>(image.symbol(words[1]));
  std::printf("%.6f %d\n", function == nullptr ? -1.0 : function(1.0F), image.symbol("absent") == nullptr);
  for (int i = 3; i < count; ++i) {
    int status = SE_OK;
    try {
      const se::ElfLibrary other(words[i]);
    } catch (const se::Error &error) {
      status = error.status;
    }
    std::printf("%d\n", status);
  }
}
