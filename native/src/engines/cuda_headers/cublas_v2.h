// What ggml calls of cuBLAS. NVIDIA's own header lies in a wheel of half a gigabyte, of which nothing else is wanted:
// the functions come from ../ggml_cuda.cpp. Types and values are those of CUDA 12 and 13 (NVIDIA, cuBLAS library
// reference).
#pragma once

#include <cstddef>

struct cublasContext;
typedef cublasContext *cublasHandle_t;
struct CUstream_st;

enum cublasStatus_t : int { CUBLAS_STATUS_SUCCESS = 0, CUBLAS_STATUS_NOT_INITIALIZED = 1 };
enum cublasOperation_t : int { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };
enum cublasSideMode_t : int { CUBLAS_SIDE_RIGHT = 1 };
enum cublasFillMode_t : int { CUBLAS_FILL_MODE_UPPER = 1 };
enum cublasDiagType_t : int { CUBLAS_DIAG_NON_UNIT = 0 };
enum cublasMath_t : int { CUBLAS_DEFAULT_MATH = 0, CUBLAS_TENSOR_OP_MATH = 1, CUBLAS_TF32_TENSOR_OP_MATH = 3 };
enum cublasComputeType_t : int { CUBLAS_COMPUTE_16F = 64, CUBLAS_COMPUTE_32F = 68 };
enum cublasGemmAlgo_t : int { CUBLAS_GEMM_DEFAULT = -1, CUBLAS_GEMM_DEFAULT_TENSOR_OP = 99 };

// X(name, parameters, arguments): for declarations here and definitions there. `type_a` and the like are
// `cudaDataType`.
#define SE_CUBLAS_FUNCTIONS(X)                                                                                         \
  X(cublasCreate_v2, (cublasHandle_t * handle), (handle))                                                              \
  X(cublasDestroy_v2, (cublasHandle_t handle), (handle))                                                               \
  X(cublasSetStream_v2, (cublasHandle_t handle, CUstream_st * stream), (handle, stream))                               \
  X(cublasSetWorkspace_v2, (cublasHandle_t handle, void *workspace, size_t bytes), (handle, workspace, bytes))         \
  X(cublasSetMathMode, (cublasHandle_t handle, cublasMath_t mode), (handle, mode))                                     \
  X(cublasSgemm_v2,                                                                                                    \
    (cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k, const float *alpha,   \
     const float *a, int lda, const float *b, int ldb, const float *beta, float *c, int ldc),                          \
    (handle, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc))                                                \
  X(cublasSgemmBatched,                                                                                                \
    (cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k, const float *alpha,   \
     const float *const a[], int lda, const float *const b[], int ldb, const float *beta, float *const c[], int ldc,   \
     int count),                                                                                                       \
    (handle, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, count))                                         \
  X(cublasSgemmStridedBatched,                                                                                         \
    (cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k, const float *alpha,   \
     const float *a, int lda, long long stride_a, const float *b, int ldb, long long stride_b, const float *beta,      \
     float *c, int ldc, long long stride_c, int count),                                                                \
    (handle, op_a, op_b, m, n, k, alpha, a, lda, stride_a, b, ldb, stride_b, beta, c, ldc, stride_c, count))           \
  X(cublasStrsmBatched,                                                                                                \
    (cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t fill, cublasOperation_t op, cublasDiagType_t diag, \
     int m, int n, const float *alpha, const float *const a[], int lda, float *const b[], int ldb, int count),         \
    (handle, side, fill, op, diag, m, n, alpha, a, lda, b, ldb, count))                                                \
  X(cublasGemmEx,                                                                                                      \
    (cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k, const void *alpha,    \
     const void *a, int type_a, int lda, const void *b, int type_b, int ldb, const void *beta, void *c, int type_c,    \
     int ldc, cublasComputeType_t compute, cublasGemmAlgo_t algorithm),                                                \
    (handle, op_a, op_b, m, n, k, alpha, a, type_a, lda, b, type_b, ldb, beta, c, type_c, ldc, compute, algorithm))    \
  X(cublasGemmBatchedEx,                                                                                               \
    (cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k, const void *alpha,    \
     const void *const a[], int type_a, int lda, const void *const b[], int type_b, int ldb, const void *beta,         \
     void *const c[], int type_c, int ldc, int count, cublasComputeType_t compute, cublasGemmAlgo_t algorithm),        \
    (handle, op_a, op_b, m, n, k, alpha, a, type_a, lda, b, type_b, ldb, beta, c, type_c, ldc, count, compute,         \
     algorithm))                                                                                                       \
  X(cublasGemmStridedBatchedEx,                                                                                        \
    (cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k, const void *alpha,    \
     const void *a, int type_a, int lda, long long stride_a, const void *b, int type_b, int ldb, long long stride_b,   \
     const void *beta, void *c, int type_c, int ldc, long long stride_c, int count, cublasComputeType_t compute,       \
     cublasGemmAlgo_t algorithm),                                                                                      \
    (handle, op_a, op_b, m, n, k, alpha, a, type_a, lda, stride_a, b, type_b, ldb, stride_b, beta, c, type_c, ldc,     \
     stride_c, count, compute, algorithm))

#define SE_CUBLAS_DECLARE(name, parameters, arguments) cublasStatus_t name parameters;
extern "C" {
SE_CUBLAS_FUNCTIONS(SE_CUBLAS_DECLARE)
const char *cublasGetStatusString(cublasStatus_t status);
}
#undef SE_CUBLAS_DECLARE

// The names that ggml writes.
#define cublasCreate cublasCreate_v2
#define cublasDestroy cublasDestroy_v2
#define cublasSetStream cublasSetStream_v2
#define cublasSetWorkspace cublasSetWorkspace_v2
#define cublasSgemm cublasSgemm_v2
