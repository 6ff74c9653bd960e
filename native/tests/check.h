/* The smallest test harness: a failed check prints its place and ends the program. */
#ifndef SE_TESTS_CHECK_H
#define SE_TESTS_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                \
    }                                                                         \
  } while (0)

/* Checks a status and shows the library's own message when it is another one. */
#define CHECK_STATUS(call, wanted)                                                                        \
  do {                                                                                                    \
    const int got_ = (int)(call);                                                                         \
    if (got_ != (int)(wanted)) {                                                                          \
      fprintf(stderr, "%s:%d: %s: got %d instead of %d: %s\n", __FILE__, __LINE__, #call, got_, (wanted), \
              se_last_error());                                                                           \
      exit(1);                                                                                            \
    }                                                                                                     \
  } while (0)

#define CHECK_OK(call) CHECK_STATUS(call, SE_OK)

#endif
