// Whether this library can run on this machine's CPU; checked before any other code of it runs.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

// NULL, or why the library refuses every call, one sentence: it was built for CPU features that this machine lacks.
const char *se_library_refusal(void);

// What the user can do about it.
#define SE_LIBRARY_REFUSAL_HINT "load the library that was built for a lower CPU level"

#ifdef __cplusplus
}
#endif
