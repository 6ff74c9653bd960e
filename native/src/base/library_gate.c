// Protects an application that loads the library on a CPU for which it was not built: the library's constructors are
// skipped, since any of them may use an instruction that this CPU lacks, and every call returns the reason instead.
// Compiled without any of these features; -fno-builtin keeps its loops as they are. The runner has its own
// (cpu_gate.c).
#define _DEFAULT_SOURCE
#include "base/library_gate.h"

#include <stddef.h>

#if defined(sphere_edge_EXPORTS) && defined(__linux__)

#include <elf.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cpu_features.h"

typedef void (*Constructor)(void);

// The linker's own name for this library's dynamic section.
extern const Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));

static const char kWhy[] = "this build of the library needs CPU features that this machine lacks:";
static char refusal[512];

static void check_cpu(void);

// The linker sorts constructors by the names of their sections: this is the first one.
__attribute__((used, section(".init_array.00000"))) static Constructor volatile constructors = check_cpu;

static void nothing(void) {}

static void leave_out_the_other_constructors(void) {
  size_t count = 0;
  for (const Elf64_Dyn *entry = _DYNAMIC; entry->d_tag != DT_NULL; ++entry) {
    if (entry->d_tag == DT_INIT_ARRAYSZ) count = entry->d_un.d_val / sizeof(Constructor);
  }
  Constructor volatile *const first = &constructors;
  // The list is write-protected by now. It stays writable: other data on its last page may have to be.
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  const uintptr_t begin = (uintptr_t)first / page * page;
  const uintptr_t end = ((uintptr_t)(first + count) + page - 1) / page * page;
  if (mprotect((void *)begin, end - begin, PROT_READ | PROT_WRITE) != 0) return;
  for (size_t i = 1; i < count; ++i) first[i] = nothing;
}

static void check_cpu(void) {
  if ((se_cpu_features_needed & ~se_cpu_features_found()) == 0) return;
  for (size_t i = 0; i < sizeof kWhy - 1; ++i) refusal[i] = kWhy[i];
  se_cpu_append_lacking(refusal, sizeof kWhy - 1, sizeof refusal - 1);
  leave_out_the_other_constructors();
}

const char *se_library_refusal(void) { return refusal[0] != '\0' ? refusal : NULL; }

#else

const char *se_library_refusal(void) { return NULL; }

#endif
