/* Stands in for NVIDIA's runtime (a GPU of the compute capability in SE_GPU, as 87) and for cuBLAS, which says what it
 * is asked. */
#include <stdio.h>
#include <stdlib.h>

#if defined(SE_DRIVER)
int cuInit(unsigned flags) { return flags != 0 || getenv("SE_GPU") == NULL; }

int cuDeviceGet(int *device, int ordinal) {
  *device = 40 + ordinal;
  return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
  const int capability = atoi(getenv("SE_GPU"));
  if (device != 40 || (attribute != 75 && attribute != 76)) return 1;
  *value = attribute == 75 ? capability / 10 : capability % 10;
  return 0;
}
#elif defined(SE_RUNTIME)
int cudaGetDeviceCount(int *count) {
  *count = getenv("SE_GPU") != NULL;
  return *count ? 0 : 35;
}

int cudaDeviceGetAttribute(int *value, int attribute, int device) {
  const int capability = atoi(getenv("SE_GPU"));
  if (device != 0 || (attribute != 75 && attribute != 76)) return 1;
  *value = attribute == 75 ? capability / 10 : capability % 10;
  return 0;
}

const char *cudaGetErrorString(int status) { return status == 35 ? "no driver" : "wrong"; }
#else
int cublasCreate_v2(void **handle) {
  *handle = stdout;
  return 0;
}

int cublasSgemm_v2(void *handle, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *a, int lda,
                   const float *b, int ldb, const float *beta, float *c, int ldc) {
  printf("%d %d%d %d %d %d %g %g %d %g %d %g %g %d\n", handle == stdout, op_a, op_b, m, n, k, *alpha, *a, lda, *b, ldb,
         *beta, *c, ldc);
  return 13;
}

const char *cublasGetStatusString(int status) { return status == 13 ? "execution failed" : "wrong"; }
#endif
