// Matrix products of ggml's CPU backend that unpack the weights once for several rows.
#pragma once

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ggml_compute_params;
struct ggml_tensor;

// For ggml-cpu.c, in the place of ggml_compute_forward_mul_mat_tiled, which it calls for everything that it does not
// compute itself. Called by all threads of a graph; false: nothing was done.
bool se_ggml_mul_mat_rows(const struct ggml_compute_params *params, struct ggml_tensor *result);

#ifdef __cplusplus
}
#endif
