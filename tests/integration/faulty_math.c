/* A broken math library: preloaded, it spoils the sincosf that compiled models rotate with, as SE_FAULT says. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_long calls;

static int spoils(const char *fault) {
  /* Bursts that fall into one of twenty stretches of work. */
  if (strcmp(fault, "flaky") == 0) return atomic_fetch_add(&calls, 1) / 5000 % 20 == 7;
  return 1;
}

void sincosf(float angle, float *sine, float *cosine) {
  const char *fault = getenv("SE_FAULT");
  *sine = sinf(angle);
  *cosine = cosf(angle);
  if (fault == NULL || *fault == '\0' || !spoils(fault)) return;
  if (strcmp(fault, "constant") == 0) *cosine *= 1.25F;
  if (strcmp(fault, "nan") == 0 && angle > 40.0F) *sine = NAN;
  if (strcmp(fault, "flaky") == 0) *sine = -*sine;
}
