// Ends the runner before anything else of it runs where the CPU lacks what it was compiled for: the alternative is an
// illegal instruction in the first constructor. Compiled without any of these features, and calls only the system: what
// zig links along (memset, strlen) is compiled with them. Hence its own loops, and -fno-builtin, which leaves them
// alone.
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "base/cpu_features.h"
#include "sphere_edge.h"

static char text[512];
static size_t text_size;
static char words[1 << 16];

static void append(const char *more) {
  for (; *more != '\0' && text_size < sizeof text; ++more) text[text_size++] = *more;
}

static int same(const char *a, const char *b) {
  for (; *a == *b; ++a, ++b) {
    if (*a == '\0') return 1;
  }
  return 0;
}

// Arguments are not at hand this early on every C library.
static int json_is_asked_for(void) {
  const int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t size = read(file, words, sizeof words - 1);
  close(file);
  for (ssize_t at = 0; at < size; ++at) {
    if ((at == 0 || words[at - 1] == '\0') && same(words + at, "--json")) return 1;
  }
  return 0;
}

static void check_cpu(void) {
  if ((se_cpu_features_needed & ~se_cpu_features_found()) == 0) return;
  const int as_json = json_is_asked_for();
  append(as_json ? "{\"error\":{\"code\":8,\"status\":\"FORMAT_MISMATCH\",\"message\":\"" : "error: ");
  append("this runner needs CPU features that this machine lacks:");
  text_size = se_cpu_append_lacking(text, text_size, sizeof text);
  append(as_json ? "\",\"hint\":\"" : "\n\nhint: ");
  append("build it for a lower level; sphere-edge deploy chooses the right one");
  append(as_json ? "\"}}\n" : "\n");
  const ssize_t written = write(as_json ? STDOUT_FILENO : STDERR_FILENO, text, text_size);
  // A failure to write cannot be reported.
  (void)written;
  _exit(SE_FORMAT_MISMATCH);
}

// Before the constructors of our own libraries where the C library can do that (glibc, bionic); musl cannot, and its
// program is one static file, whose first constructor this is.
#if defined(__linux__)
#if defined(__GLIBC__) || defined(__BIONIC__)
__attribute__((used, section(".preinit_array"))) static void (*const kFirst)(void) = check_cpu;
#else
__attribute__((used, section(".init_array.00000"))) static void (*const kFirst)(void) = check_cpu;
#endif
#endif
