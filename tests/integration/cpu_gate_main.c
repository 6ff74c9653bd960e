/* What is left of the runner where the CPU check lets it start: the names of the features that it found. */
#include <stdio.h>

#include "base/cpu_features.h"

int main(void) {
  for (int i = 0; se_cpu_feature_name(i) != NULL; ++i) {
    if ((se_cpu_features_found() >> i & 1) != 0) puts(se_cpu_feature_name(i));
  }
  return 0;
}
