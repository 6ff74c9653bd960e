// What ggml's CPU backend tells about its waits.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// For how long the calling thread has spun at barriers while others were late: in all, without the first microseconds
// of each, which threads that all have a core wait, too.
uint64_t se_ggml_spun_ns(void);

#ifdef __cplusplus
}
#endif
