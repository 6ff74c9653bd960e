// ggml's CPU backend, whose threads do not spin for ever where they wait for one another.
//
// Its barrier spins until the last thread arrives, some 600 times a token. On busy cores that thread may be without a
// core for milliseconds, and the spinning ones keep theirs from whoever has work. Here a wait gives its core away after
// a while. The file is compiled as it is; only its names for a pause and for one kind of matrix product are others.
#include "engines/ggml_cpu.h"

#include <sched.h>
#include <time.h>

// Threads that run at the same time arrive within microseconds. Those that share their cores with other programs stay
// in step for a while if they wait for half a millisecond. A pause takes 5 to 40 ns.
static const unsigned kUsualPauses = 2000;
static const unsigned kPauses = 30000;
static const unsigned kPausesBetweenClocks = 250;
static const unsigned kYields = 100;
static const long kSleepNs = 50000;

static inline void ggml_pause(void);
static inline void give_way(int barrier);

// `ggml_thread_cpu_relax(void)` is its definition, `ggml_thread_cpu_relax()` a call. The number of the barrier is a
// local variable where one is waited for; the other loop that pauses, for work, is not run (see
// LlamaEngine::start_threads).
#define ggml_thread_cpu_relax(parameters) SE_RELAX_##parameters
#define SE_RELAX_void ggml_pause(void)
#define SE_RELAX_ give_way(n_passed)
static const int n_passed = -1;

// Our matrix products are asked first.
#define ggml_compute_forward_mul_mat_tiled se_ggml_mul_mat_rows

#include "ggml-cpu/ggml-cpu.c"

static _Thread_local uint64_t spun_ns;

uint64_t se_ggml_spun_ns(void) { return spun_ns; }

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline void give_way(int barrier) {
  static _Thread_local int last_barrier;
  static _Thread_local unsigned rounds;
  static _Thread_local uint64_t counted_ns;
  if (barrier != last_barrier) {
    last_barrier = barrier;
    rounds = 0;
  }
  if (++rounds >= kUsualPauses && rounds % kPausesBetweenClocks == 0 && rounds <= kPauses) {
    const uint64_t now = now_ns();
    if (rounds > kUsualPauses) spun_ns += now - counted_ns;
    counted_ns = now;
  }
  if (rounds < kPauses) {
    ggml_pause();
  } else if (rounds < kPauses + kYields) {
    sched_yield();
  } else {
    rounds = kPauses + kYields;
    nanosleep(&(struct timespec){0, kSleepNs}, NULL);
  }
}
