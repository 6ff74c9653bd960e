// Asks CPUID or the kernel for CPU features. Compiled without any of them: it runs before they are known to exist.
#include "base/cpu_features.h"

#include <stddef.h>

#include "base/cpu_feature_bits.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

static const char *const kNames[] = {SE_CPU_FEATURE_NAMES};

const char *se_cpu_feature_name(int index) {
  return index >= 0 && (size_t)index < sizeof kNames / sizeof *kNames ? kNames[index] : NULL;
}

static size_t append(const char *more, char *text, size_t used, size_t size) {
  for (; *more != '\0' && used < size; ++more) text[used++] = *more;
  return used;
}

size_t se_cpu_append_lacking(char *text, size_t used, size_t size) {
  const uint32_t lacking = se_cpu_features_needed & ~se_cpu_features_found();
  for (int i = 0; se_cpu_feature_name(i) != NULL; ++i) {
    if ((lacking >> i & 1) == 0) continue;
    used = append((lacking & ((1U << i) - 1)) != 0 ? ", `" : " `", text, used, size);
    used = append(se_cpu_feature_name(i), text, used, size);
    used = append("`", text, used, size);
  }
  return used;
}

#if defined(__x86_64__)

static uint64_t enabled_register_state(void) {
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return ((uint64_t)high << 32) | low;
}

uint32_t se_cpu_features_found(void) {
  uint32_t found = 0, a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return 0;
  const uint64_t state = (c & bit_OSXSAVE) != 0 ? enabled_register_state() : 0;
  // Without the operating system saving the wide registers, the instructions fault.
  const int ymm = (state & 0x6) == 0x6, zmm = (state & 0xe6) == 0xe6;
  if (ymm && (c & bit_FMA) != 0) found |= SE_CPU_FMA;
  if (ymm && (c & bit_F16C) != 0) found |= SE_CPU_F16C;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return found;
  if (ymm && (b & bit_AVX2) != 0) found |= SE_CPU_AVX2;
  const uint32_t avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
  if (zmm && (b & avx512) == avx512 && (c & bit_AVX512VNNI) != 0) found |= SE_CPU_AVX512VNNI;
  return found;
}

#elif defined(__aarch64__) && defined(__linux__)

uint32_t se_cpu_features_found(void) {
  // Bits of the arm64 Linux user interface (asm/hwcap.h), spelled out because older headers lack some.
  const unsigned long capabilities = getauxval(AT_HWCAP), more = getauxval(AT_HWCAP2);
  uint32_t found = 0;
  if ((capabilities & (1UL << 1)) != 0) found |= SE_CPU_NEON;
  if ((capabilities & (1UL << 20)) != 0) found |= SE_CPU_DOTPROD;
  if ((capabilities & (1UL << 10)) != 0) found |= SE_CPU_FP16;
  if ((more & (1UL << 13)) != 0) found |= SE_CPU_I8MM;
  return found;
}

#elif defined(__aarch64__) && defined(__APPLE__)

uint32_t se_cpu_features_found(void) {
  // Every iPhone since the A13 has these; i8mm came with the A15 and is asked for at build time only.
  return SE_CPU_NEON | SE_CPU_DOTPROD | SE_CPU_FP16 | (se_cpu_features_needed & SE_CPU_I8MM);
}

#else

uint32_t se_cpu_features_found(void) { return 0; }

#endif
