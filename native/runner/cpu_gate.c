// Ends the runner before anything else of it runs where the CPU lacks what it was compiled for: the alternative is an
// illegal instruction in the first constructor. Compiled without any of these features; calls nothing compiled with.
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../src/cpu_features.h"
#include "sphere_edge.h"

enum { kTextSize = 512 };

static void append(char *text, const char *more) {
  const size_t used = strlen(text), length = strlen(more);
  if (used + length < kTextSize) memcpy(text + used, more, length + 1);
}

// Arguments are not at hand this early on every C library.
static int json_is_asked_for(void) {
  static char words[1 << 16];
  const int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t size = read(file, words, sizeof words - 1);
  close(file);
  for (ssize_t at = 0; at < size; at += (ssize_t)strlen(words + at) + 1) {
    if (strcmp(words + at, "--json") == 0) return 1;
  }
  return 0;
}

static void tell(int file, const char *text) {
  // Nobody is left to be told when this fails.
  if (write(file, text, strlen(text)) < 0) return;
}

static void check_cpu(void) {
  const uint32_t lacking = se_cpu_features_needed & ~se_cpu_features_found();
  if (lacking == 0) return;
  const int as_json = json_is_asked_for();
  char text[kTextSize] = "";
  append(text, as_json ? "{\"error\":{\"code\":8,\"status\":\"FORMAT_MISMATCH\",\"message\":\"" : "error: ");
  append(text, "this runner needs CPU features that this machine lacks:");
  for (int i = 0; se_cpu_feature_name(i) != NULL; ++i) {
    if ((lacking >> i & 1) == 0) continue;
    append(text, (lacking & ((1U << i) - 1)) != 0 ? ", `" : " `");
    append(text, se_cpu_feature_name(i));
    append(text, "`");
  }
  append(text, as_json ? "\",\"hint\":\"" : "\n\nhint: ");
  append(text, "build it for a lower level; sphere-edge deploy chooses the right one");
  append(text, as_json ? "\"}}\n" : "\n");
  tell(as_json ? STDOUT_FILENO : STDERR_FILENO, text);
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
