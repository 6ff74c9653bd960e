// Which CPU features this machine has and this build needs, told by code that any such machine runs.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Bit i stands for the feature whose name se_cpu_feature_name(i) gives, as in device profiles; NULL after the last.
const char *se_cpu_feature_name(int index);

// The features of this machine.
uint32_t se_cpu_features_found(void);

// The features that the compiler was allowed to use for the rest of this build.
extern const uint32_t se_cpu_features_needed;

#ifdef __cplusplus
}
#endif
