// The bits of cpu_features.h, for the two files that set them.
#pragma once

#if defined(__aarch64__)
#define SE_CPU_NEON (1U << 0)
#define SE_CPU_DOTPROD (1U << 1)
#define SE_CPU_FP16 (1U << 2)
#define SE_CPU_I8MM (1U << 3)
#define SE_CPU_FEATURE_NAMES "neon", "dotprod", "fp16", "i8mm"
#else
#define SE_CPU_AVX2 (1U << 0)
#define SE_CPU_FMA (1U << 1)
#define SE_CPU_F16C (1U << 2)
#define SE_CPU_AVX512VNNI (1U << 3)
#define SE_CPU_FEATURE_NAMES "avx2", "fma", "f16c", "avx512vnni"
#endif
