// How the number of threads follows what other programs leave of the cores.
#include "check.h"
#include "engines/thread_count.h"

namespace {

// A graph of 10 ms during which the leading thread ran for that share.
void took(se::ThreadCount &count, double share, int graphs = 1) {
  for (int i = 0; i < graphs; ++i) count.took(0.01, 0.01 * share);
}

void alone_all_are_kept() {
  se::ThreadCount count(4);
  took(count, 0.98, 5000);
  took(count, 0.1);
  took(count, 0.98);
  took(count, 0.1);
  CHECK(count.now() == 4);
}

void one_thread_stays_one() {
  se::ThreadCount count(1);
  took(count, 0.1, 100);
  CHECK(count.now() == 1);
}

void late_threads_are_dropped() {
  se::ThreadCount count(6);
  took(count, 0.5, 2);
  CHECK(count.now() == 3);
  took(count, 0.5, 2);
  CHECK(count.now() == 1);
  took(count, 0.5, 5000);
  CHECK(count.now() == 1);
}

// How many calm graphs it takes until more threads are tried.
int calm_graphs(se::ThreadCount &count) {
  for (int graphs = 1;; ++graphs) {
    if (count.took(0.01, 0.01)) return graphs;
    CHECK(graphs < 100000);
  }
}

void more_are_tried_less_and_less_often() {
  se::ThreadCount count(2);
  took(count, 0.5, 2);
  CHECK(calm_graphs(count) == 32 && count.now() == 2);
  took(count, 0.5, 2);
  CHECK(calm_graphs(count) == 64 && count.now() == 2);
  for (int i = 0; i < 10; ++i) {
    took(count, 0.5, 2);
    calm_graphs(count);
  }
  took(count, 0.5, 2);
  CHECK(calm_graphs(count) == 1024);
  // The cores have been free for long: the next disturbance is a new one.
  took(count, 1, 2000);
  took(count, 0.5, 2);
  CHECK(calm_graphs(count) == 32);
}

void a_busy_core_is_not_calm() {
  se::ThreadCount count(2);
  took(count, 0.5, 2);
  took(count, 0.8, 5000);
  CHECK(count.now() == 1);
}

}  // namespace

int main() {
  alone_all_are_kept();
  one_thread_stays_one();
  late_threads_are_dropped();
  more_are_tried_less_and_less_often();
  a_busy_core_is_not_calm();
  return 0;
}
