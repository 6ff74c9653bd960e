// Says why CUDA code of the runtime cannot run here, or what cuBLAS answers to a product of matrices.
#include "engines/ggml_cuda.h"

#include <cublas_v2.h>

#include <cstdio>

int main() {
  if (const auto refusal = se::refused_by_cuda()) {
    std::printf("%s\n%s\n", refusal->reason.c_str(), refusal->hint.c_str());
    return 1;
  }
  cublasHandle_t handle = nullptr;
  const cublasStatus_t made = cublasCreate(&handle);
  const float one = 1, two = 2, a = 3, b = 4;
  float c = 5;
  const cublasStatus_t done = cublasSgemm(handle, CUBLAS_OP_T, CUBLAS_OP_N, 6, 7, 8, &one, &a, 9, &b, 10, &two, &c, 11);
  std::printf("%d %d %s\n", made, done, cublasGetStatusString(done));
  return 0;
}
