// Multiplies matrices of 3, 4, 6 and 8 bit weights with a vector, as decoding does: `bit_widths THREADS WEIGHTS
// PASSES`.
//
// A prototype to decide by, which nothing calls. Blocks of 16 rows, groups of 32 columns with a float16 scale per row;
// 4 bits as in sphere_edge/quantization/weights.py, 6 as a plane of 4 and one of 2, 3 as a plane of 2 and one of 1.
// Prints a line of JSON for each width: the fastest of the rounds, which take turns.
#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { kRows = 16, kColumns = 4096, kGroups = kColumns / 32, kRounds = 40 };

static const int kBits[] = {3, 4, 6, 8};

typedef struct Work {
  const uint8_t *data;  // per block and group: `bits` vectors of 64 bytes, then 16 scales
  const int32_t *activations;
  float *out;
  int bits;
  size_t first, last;  // blocks
  int passes;
} Work;

static size_t group_bytes(int bits) { return (size_t)bits * 64 + 2 * kRows; }

static inline __m512i word(const uint8_t *group, int bits, int j) {
  const __m512i nibbles = _mm512_set1_epi8(15), pairs = _mm512_set1_epi8(3), ones = _mm512_set1_epi8(1);
  const __m512i *planes = (const __m512i *)group;
  if (bits == 8) return _mm512_loadu_si512(planes + j);
  if (bits == 3) {
    const __m512i low = _mm512_and_si512(_mm512_srli_epi16(_mm512_loadu_si512(planes + j / 4), 2 * (j % 4)), pairs);
    const __m512i high = _mm512_and_si512(_mm512_srli_epi16(_mm512_loadu_si512(planes + 2), j), ones);
    return _mm512_or_si512(low, _mm512_slli_epi16(high, 2));
  }
  const __m512i both = _mm512_loadu_si512(planes + j % 4);
  const __m512i low = _mm512_and_si512(j < 4 ? both : _mm512_srli_epi16(both, 4), nibbles);
  if (bits == 4) return low;
  const __m512i more = _mm512_and_si512(_mm512_srli_epi16(_mm512_loadu_si512(planes + 4 + j / 4), 2 * (j % 4)), pairs);
  return _mm512_or_si512(low, _mm512_slli_epi16(more, 4));
}

static inline void rows(const Work *work, const int bits) {
  for (size_t block = work->first; block < work->last; ++block) {
    const uint8_t *group = work->data + block * kGroups * group_bytes(bits);
    __m512 sum = _mm512_setzero_ps();
    for (int g = 0; g < kGroups; ++g, group += group_bytes(bits)) {
      __m512i products = _mm512_setzero_si512();
#pragma GCC unroll 8
      for (int j = 0; j < 8; ++j) {
        products = _mm512_dpbusd_epi32(products, word(group, bits, j), _mm512_set1_epi32(work->activations[8 * g + j]));
      }
      const __m512 scale = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(group + (size_t)bits * 64)));
      sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), scale, sum);
    }
    _mm512_storeu_ps(work->out + block * kRows, sum);
  }
}

static void *run(void *argument) {
  const Work *work = argument;
  for (int i = 0; i < work->passes; ++i) {
    if (work->bits == 3) rows(work, 3);
    if (work->bits == 4) rows(work, 4);
    if (work->bits == 6) rows(work, 6);
    if (work->bits == 8) rows(work, 8);
  }
  return NULL;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double pass(Work *work, size_t blocks, int threads) {
  pthread_t others[64];
  Work parts[64];
  const double begin = seconds();
  for (int t = 0; t < threads; ++t) {
    parts[t] = *work;
    parts[t].first = blocks * (size_t)t / (size_t)threads;
    parts[t].last = blocks * (size_t)(t + 1) / (size_t)threads;
    if (pthread_create(&others[t], NULL, run, &parts[t]) != 0) exit(1);
  }
  for (int t = 0; t < threads; ++t) pthread_join(others[t], NULL);
  return seconds() - begin;
}

int main(int count, char **arguments) {
  const int threads = count == 4 ? atoi(arguments[1]) : 0;
  const long weights = count == 4 ? atol(arguments[2]) : 0;
  const int passes = count == 4 ? atoi(arguments[3]) : 0;
  if (threads < 1 || threads > 64 || weights < kRows * kColumns || passes < 1) return 2;
  const size_t blocks = (size_t)weights / (kRows * kColumns);
  uint8_t *data = malloc(blocks * kGroups * group_bytes(8));
  int32_t *activations = malloc(kColumns);
  float *out = malloc(blocks * kRows * sizeof(float));
  if (data == NULL || activations == NULL || out == NULL) return 1;
  memset(data, 1, blocks * kGroups * group_bytes(8));
  memset(activations, 1, kColumns);
  double fastest[4] = {1e9, 1e9, 1e9, 1e9};
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < 4; ++i) {
      Work work = {data, activations, out, kBits[i], 0, 0, passes};
      const double taken = pass(&work, blocks, threads) / passes;
      if (taken < fastest[i]) fastest[i] = taken;
    }
  }
  for (int i = 0; i < 4; ++i) {
    const double bytes = (double)(blocks * kGroups * group_bytes(kBits[i]));
    printf("{\"bits\": %d, \"gigaweights_per_s\": %.2f, \"gigabytes_per_s\": %.2f}\n", kBits[i],
           (double)(blocks * kRows * kColumns) / fastest[i] * 1e-9, bytes / fastest[i] * 1e-9);
  }
  free(data);
  free(activations);
  free(out);
  return 0;
}
