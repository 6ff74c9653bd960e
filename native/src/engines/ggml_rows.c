// Products of Q4_1 and Q5_1 weights with several rows at once on x86-64.
//
// For these types ggml has a kernel for one row only: each row unpacks all weights again, so that reading a prompt, or
// a step of several conversations, costs as much as its rows one after the other. Here four rows of weights are
// unpacked for four rows of numbers. Every sum adds the same numbers in the same order as ggml's ggml_vec_dot_q4_1_q8_1
// and ggml_vec_dot_q5_1_q8_1, so that a row's result does not depend on how many there are.
#include "engines/ggml_rows.h"

#include <stdint.h>
#include <string.h>

#include "ggml-backend.h"
// They have to come first.
#include "ggml-cpu-impl.h"
#include "ggml-cpu.h"
#include "ggml-impl.h"
#include "quants.h"
#include "simd-mappings.h"
#include "tiled/tiled.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

enum {
  kBlock = QK8_1,
  kWeights = 4,
  kRows = 4,
  // What one thread takes at once: few rows of weights, so that all threads end at the same time, and no more rows of
  // numbers than stay in its cache.
  kWeightsAtOnce = 16,
  kRowsAtOnce = 64,
};

typedef float Floats4 __attribute__((vector_size(16)));

static inline __m256i bytes_of_nibbles(const uint8_t *nibbles) {
  const __m128i packed = _mm_loadu_si128((const __m128i *)nibbles);
  const __m256i both = _mm256_set_m128i(_mm_srli_epi16(packed, 4), packed);
  return _mm256_and_si256(both, _mm256_set1_epi8(0xF));
}

// 16 in each byte whose bit is set.
static inline __m256i fifth_bits(const uint8_t *bits) {
  uint32_t all;
  memcpy(&all, bits, sizeof(all));
  const __m256i byte_of_each =
      _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0x0000000000000000);
  const __m256i bit_of_each = _mm256_set1_epi64x((int64_t)0x8040201008040201);
  const __m256i bytes = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32((int)all), byte_of_each), bit_of_each);
  return _mm256_and_si256(_mm256_cmpeq_epi8(bytes, bit_of_each), _mm256_set1_epi8(0x10));
}

static inline __m256i unpack(enum ggml_type type, const char *block) {
  if (type == GGML_TYPE_Q4_1) return bytes_of_nibbles(((const block_q4_1 *)block)->qs);
  const block_q5_1 *at = (const block_q5_1 *)block;
  return _mm256_or_si256(bytes_of_nibbles(at->qs), fifth_bits(at->qh));
}

// Blocks of weights begin with their scale and their least value, those of rows with their scale and the sum of their
// numbers: two numbers of 16 bits.
static inline int32_t head(const char *block) {
  int32_t both;
  memcpy(&both, block, sizeof(both));
  return both;
}

// Eight sums of four products each: integers, so that they are exact whatever computes them.
static inline __m256 dot(__m256i weights, __m256i numbers) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
  return _mm256_cvtepi32_ps(_mm256_dpbusd_epi32(_mm256_setzero_si256(), weights, numbers));
#elif defined(__AVXVNNI__)
  return _mm256_cvtepi32_ps(_mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), weights, numbers));
#else
  const __m256i pairs = _mm256_maddubs_epi16(weights, numbers);
  return _mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_set1_epi16(1), pairs));
#endif
}

static inline float sum(__m256 eight) {
  __m128 four = _mm_add_ps(_mm256_extractf128_ps(eight, 1), _mm256_castps256_ps128(eight));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

typedef struct {
  enum ggml_type type;
  int64_t blocks;  // of a row
  const char *weights;
  size_t weights_stride;
  const char *numbers;  // rows of Q8_1
  size_t numbers_stride;
  char *result;
  size_t result_stride;
} Product;

// `type` and `rows` are constants where this is called, so that the compiler unrolls the loops.
static inline __attribute__((always_inline)) void compute_tile(const Product *product, enum ggml_type type, int rows,
                                                               int64_t first_weights, int64_t first_row) {
  const char *weights = product->weights + (size_t)first_weights * product->weights_stride;
  const char *numbers = product->numbers + (size_t)first_row * product->numbers_stride;
  const size_t block_bytes = type == GGML_TYPE_Q4_1 ? sizeof(block_q4_1) : sizeof(block_q5_1);
  __m256 products[kRows][kWeights];
  Floats4 leasts[kRows];
  for (int r = 0; r < rows; ++r) {
    leasts[r] = (Floats4){0, 0, 0, 0};
    for (int w = 0; w < kWeights; ++w) products[r][w] = _mm256_setzero_ps();
  }
  for (int64_t block = 0; block < product->blocks; ++block) {
    __m256i unpacked[kWeights];
    int32_t heads[kWeights];
    for (int w = 0; w < kWeights; ++w) {
      const char *at = weights + (size_t)w * product->weights_stride + (size_t)block * block_bytes;
      unpacked[w] = unpack(type, at);
      heads[w] = head(at);
    }
    // Four scales, then four least values.
    const __m256i in_order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    const __m256 both = _mm256_permutevar8x32_ps(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)heads)), in_order);
    const Floats4 weight_scales = (Floats4)_mm256_castps256_ps128(both);
    const Floats4 least = (Floats4)_mm256_extractf128_ps(both, 1);
    for (int r = 0; r < rows; ++r) {
      const block_q8_1 *at = (const block_q8_1 *)(numbers + (size_t)r * product->numbers_stride) + block;
      const __m256i bytes = _mm256_loadu_si256((const __m256i *)at->qs);
      const __m128 scale_and_total = _mm_cvtph_ps(_mm_cvtsi32_si128(head((const char *)at)));
      const __m256 scale = _mm256_broadcastss_ps(scale_and_total);
      leasts[r] += least * (Floats4)_mm_permute_ps(scale_and_total, 0x55);
      for (int w = 0; w < kWeights; ++w) {
        const __m256 scales = _mm256_mul_ps(_mm256_set1_ps(weight_scales[w]), scale);
        products[r][w] = _mm256_fmadd_ps(scales, dot(unpacked[w], bytes), products[r][w]);
      }
    }
  }
  for (int r = 0; r < rows; ++r) {
    float *result = (float *)(product->result + (size_t)(first_row + r) * product->result_stride) + first_weights;
    for (int w = 0; w < kWeights; ++w) result[w] = sum(products[r][w]) + leasts[r][w];
  }
}

static inline __attribute__((always_inline)) void compute_rows(const Product *product, enum ggml_type type,
                                                               int64_t first_weights, int64_t row, int64_t rows_end) {
  for (; row + 4 <= rows_end; row += 4) compute_tile(product, type, 4, first_weights, row);
  if (rows_end - row == 3) compute_tile(product, type, 3, first_weights, row);
  if (rows_end - row == 2) compute_tile(product, type, 2, first_weights, row);
  if (rows_end - row == 1) compute_tile(product, type, 1, first_weights, row);
}

static void compute_part(const Product *product, int64_t weights_begin, int64_t weights_end, int64_t rows_begin,
                         int64_t rows_end) {
  for (int64_t w = weights_begin; w < weights_end; w += kWeights) {
    if (product->type == GGML_TYPE_Q4_1) {
      compute_rows(product, GGML_TYPE_Q4_1, w, rows_begin, rows_end);
    } else {
      compute_rows(product, GGML_TYPE_Q5_1, w, rows_begin, rows_end);
    }
  }
}

static bool is_computed_here(const struct ggml_compute_params *params, const struct ggml_tensor *result) {
  const struct ggml_tensor *weights = result->src[0], *numbers = result->src[1];
  const bool is_type = weights->type == GGML_TYPE_Q4_1 || weights->type == GGML_TYPE_Q5_1;
  const bool is_matrix = ggml_is_matrix(weights) && ggml_is_matrix(numbers) && ggml_is_contiguous(result);
  return is_type && is_matrix && !params->use_ref && numbers->type == GGML_TYPE_F32 &&
         numbers->nb[0] == sizeof(float) && numbers->ne[1] > 1 && weights->ne[1] % kWeights == 0 &&
         weights->extra == NULL;
}

// Each thread a part of every row.
static void quantize_rows(const struct ggml_compute_params *params, const struct ggml_tensor *numbers) {
  const int64_t blocks = numbers->ne[0] / kBlock;
  const int64_t begin = params->ith * blocks / params->nth, end = (params->ith + 1) * blocks / params->nth;
  const size_t stride = ggml_row_size(GGML_TYPE_Q8_1, numbers->ne[0]);
  const ggml_from_float_t quantize = ggml_get_type_traits_cpu(GGML_TYPE_Q8_1)->from_float;
  for (int64_t row = 0; row < numbers->ne[1]; ++row) {
    const float *from = (const float *)((const char *)numbers->data + (size_t)row * numbers->nb[1]) + begin * kBlock;
    char *to = (char *)params->wdata + (size_t)row * stride + (size_t)begin * sizeof(block_q8_1);
    quantize(from, to, (end - begin) * kBlock);
  }
}

bool se_ggml_mul_mat_rows(const struct ggml_compute_params *params, struct ggml_tensor *result) {
  if (!is_computed_here(params, result)) return ggml_compute_forward_mul_mat_tiled(params, result);
  const struct ggml_tensor *weights = result->src[0], *numbers = result->src[1];
  quantize_rows(params, numbers);
  // Every thread begins with the part of its number.
  if (params->ith == 0) ggml_threadpool_chunk_set(params->threadpool, params->nth);
  ggml_barrier(params->threadpool);
  const Product product = {
      weights->type,  weights->ne[0] / kBlock, weights->data,
      weights->nb[1], params->wdata,           ggml_row_size(GGML_TYPE_Q8_1, numbers->ne[0]),
      result->data,   result->nb[1],
  };
  const int64_t parts_of_weights = (weights->ne[1] + kWeightsAtOnce - 1) / kWeightsAtOnce;
  const int64_t parts = parts_of_weights * ((numbers->ne[1] + kRowsAtOnce - 1) / kRowsAtOnce);
  for (int64_t part = params->ith; part < parts; part = ggml_threadpool_chunk_add(params->threadpool, 1)) {
    const int64_t w = part % parts_of_weights * kWeightsAtOnce, row = part / parts_of_weights * kRowsAtOnce;
    compute_part(&product, w, MIN(w + kWeightsAtOnce, weights->ne[1]), row, MIN(row + kRowsAtOnce, numbers->ne[1]));
  }
  return true;
}

#else

bool se_ggml_mul_mat_rows(const struct ggml_compute_params *params, struct ggml_tensor *result) {
  return ggml_compute_forward_mul_mat_tiled(params, result);
}

#endif
