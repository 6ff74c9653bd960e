// The CPU features that this machine has and that this build needs, found by code that runs on any such machine.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Bit i stands for the feature whose name se_cpu_feature_name(i) gives, as in device profiles; NULL after the last.
const char *se_cpu_feature_name(int index);

// The features of this machine.
uint32_t se_cpu_features_found(void);

// Appends the features that this build needs and this machine lacks to the text of `used` bytes in `text`, which has
// room for `size` bytes and is not NUL-terminated; returns how many bytes are used then.
size_t se_cpu_append_lacking(char *text, size_t used, size_t size);

// The features that the compiler was allowed to use for the rest of this build.
extern const uint32_t se_cpu_features_needed;

#ifdef __cplusplus
}
#endif
