// Bounds the memory that one thread takes while it computes what a stranger's file says.
#pragma once

#include <cstdint>

namespace se {

// While one exists, memory that C++ code of this library takes on this thread and does not give back counts.
class MemoryLimit {
 public:
  explicit MemoryLimit(uint64_t most_bytes);
  ~MemoryLimit();
  MemoryLimit(const MemoryLimit &) = delete;
  MemoryLimit &operator=(const MemoryLimit &) = delete;

  // More was taken, or asked for: a large piece beyond the limit gets std::bad_alloc instead, a small one is given, so
  // that a failure can still be told.
  bool exceeded() const { return is_refused_ || bytes_ > most_bytes_; }

  // Of operator new and delete.
  static void check(uint64_t bytes);
  static void took(void *memory);
  static void gives_back(void *memory);

 private:
  int64_t most_bytes_;
  int64_t bytes_ = 0;
  bool is_refused_ = false;
  MemoryLimit *outer_;
};

}  // namespace se
