// The CPU features that the compiler may use, as data: compiled like everything else, and without code.
#include "base/cpu_feature_bits.h"
#include "base/cpu_features.h"

const uint32_t se_cpu_features_needed = 0
#if defined(__aarch64__)
#if defined(__ARM_NEON)
                                        | SE_CPU_NEON
#endif
#if defined(__ARM_FEATURE_DOTPROD)
                                        | SE_CPU_DOTPROD
#endif
#if defined(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC)
                                        | SE_CPU_FP16
#endif
#if defined(__ARM_FEATURE_MATMUL_INT8)
                                        | SE_CPU_I8MM
#endif
#elif defined(__x86_64__)
#if defined(__AVX2__)
                                        | SE_CPU_AVX2
#endif
#if defined(__FMA__)
                                        | SE_CPU_FMA
#endif
#if defined(__F16C__)
                                        | SE_CPU_F16C
#endif
#if defined(__AVX512VNNI__)
                                        | SE_CPU_AVX512VNNI
#endif
#endif
    ;
