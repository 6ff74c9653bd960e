// Tests of the thread pool: every piece runs exactly once, failures come back, nested loops work, sleepers wake.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "base/thread_pool.h"
#include "check.h"

namespace {

struct Counts {
  std::vector<std::atomic<int>> ran;
  std::atomic<int> wrong_count = 0;
  se::ThreadPool *pool = nullptr;
  explicit Counts(size_t pieces) : ran(pieces) {}
};

int count_piece(int index, int count, void *context) {
  auto &counts = *static_cast<Counts *>(context);
  if (count != static_cast<int>(counts.ran.size())) counts.wrong_count++;
  counts.ran[static_cast<size_t>(index)]++;
  return 0;
}

int fail_at_seven(int index, int, void *) { return index == 7 ? -3 : 0; }

int nested(int, int, void *context) {
  auto &outer = *static_cast<Counts *>(context);
  Counts inner(5);
  const int failure = outer.pool->run(count_piece, 5, &inner);
  for (const auto &ran : inner.ran) {
    if (ran != 1) outer.wrong_count++;
  }
  outer.ran[0]++;
  return failure;
}

void every_piece_runs_once(int threads) {
  se::ThreadPool pool(threads);
  CHECK(pool.threads() == threads);
  for (int round = 0; round < 2000; ++round) {
    const auto pieces = static_cast<size_t>(1 + round % 37);
    Counts counts(pieces);
    CHECK(pool.run(count_piece, static_cast<int>(pieces), &counts) == 0);
    for (const auto &ran : counts.ran) CHECK(ran == 1);
    CHECK(counts.wrong_count == 0);
    // Now and then long enough for the workers to fall asleep.
    if (round % 500 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  CHECK(pool.run(count_piece, 0, nullptr) == 0);
}

void a_failure_comes_back_and_the_next_loop_works(int threads) {
  se::ThreadPool pool(threads);
  for (int round = 0; round < 50; ++round) {
    CHECK(pool.run(fail_at_seven, 16, nullptr) == -3);
    Counts counts(16);
    CHECK(pool.run(count_piece, 16, &counts) == 0);
    for (const auto &ran : counts.ran) CHECK(ran == 1);
  }
}

void a_loop_inside_a_piece_runs_there(int threads) {
  se::ThreadPool pool(threads);
  Counts counts(1);
  counts.pool = &pool;
  CHECK(pool.run(nested, 64, &counts) == 0);
  CHECK(counts.ran[0] == 64);
  CHECK(counts.wrong_count == 0);
}

}  // namespace

int main() {
  for (const int threads : {1, 2, 3, 8}) {
    every_piece_runs_once(threads);
    a_failure_comes_back_and_the_next_loop_works(threads);
    a_loop_inside_a_piece_runs_there(threads);
  }
  std::puts("thread pool: passed");
  return 0;
}
