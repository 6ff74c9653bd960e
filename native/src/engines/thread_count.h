// How many threads a graph of ggml gets: all, or fewer while other programs use the cores.
//
// ggml divides each operation evenly and waits for the last thread, so one thread that shares its core with another
// program slows all: two threads on two busy cores are many times slower than one.
#pragma once

namespace se {

class ThreadCount {
 public:
  explicit ThreadCount(int most) : most_(most), now_(most) {}

  int now() const { return now_; }

  // A graph took `seconds`, and the thread that led it worked for `worked_seconds` of them: in the others it had no
  // core, or waited for a thread that had none. Whether the count is another one now.
  bool took(double seconds, double worked_seconds);

 private:
  int most_;
  int now_;
  int late_ = 0;              // graphs in a row that waited
  int calm_ = 0;              // graphs in a row that did not
  int calm_before_more_ = 0;  // so many before more threads are tried
};

}  // namespace se
