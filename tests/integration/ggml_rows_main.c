// Products of ggml_rows.c beside those of ggml's kernel for one row, bit for bit.
#include <stdio.h>
#include <stdlib.h>

#include "engines/ggml_rows.c"

enum { kWeightRows = 40, kNumberRows = 131, kColumns = 288 };

static uint32_t state = 1;
static float any(void) {
  state = state * 1664525 + 1013904223;
  return (float)(state >> 8) / (1 << 24) - 0.4F;
}

static char *quantized(enum ggml_type type, int rows) {
  const size_t stride = ggml_row_size(type, kColumns);
  char *made = malloc(stride * (size_t)rows);
  for (int row = 0; row < rows; ++row) {
    float values[kColumns];
    for (int i = 0; i < kColumns; ++i) values[i] = any();
    ggml_get_type_traits_cpu(type)->from_float(values, made + stride * (size_t)row, kColumns);
  }
  return made;
}

int main(void) {
  ggml_cpu_init();
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
  const enum ggml_type types[] = {GGML_TYPE_Q4_1, GGML_TYPE_Q5_1};
  for (int t = 0; t < 2; ++t) {
    const size_t stride = ggml_row_size(types[t], kColumns), numbers_stride = ggml_row_size(GGML_TYPE_Q8_1, kColumns);
    char *weights = quantized(types[t], kWeightRows), *numbers = quantized(GGML_TYPE_Q8_1, kNumberRows);
    float *result = malloc(sizeof(float) * kWeightRows * kNumberRows);
    const Product product = {types[t], kColumns / kBlock, weights,        stride,
                             numbers,  numbers_stride,    (char *)result, sizeof(float) * kWeightRows};
    compute_part(&product, 0, kWeightRows, 0, kNumberRows);
    for (int row = 0; row < kNumberRows; ++row) {
      for (int w = 0; w < kWeightRows; ++w) {
        float alone;
        ggml_get_type_traits_cpu(types[t])->vec_dot(kColumns, &alone, 0, weights + stride * (size_t)w, 0,
                                                    numbers + numbers_stride * (size_t)row, 0, 1);
        if (memcmp(&alone, &result[row * kWeightRows + w], sizeof(alone)) != 0) {
          printf("type %d, row %d, weights %d: %g instead of %g\n", (int)types[t], row, w,
                 (double)result[row * kWeightRows + w], (double)alone);
          return 1;
        }
      }
    }
    free(weights), free(numbers), free(result);
  }
  puts("the same");
#else
  puts("nothing to compare");
#endif
  return 0;
}
