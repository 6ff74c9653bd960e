// Counts in operator new and delete, which only this library uses: its symbols are not exported.
#include "base/memory_limit.h"

#include <cstdlib>
#include <new>
#include <utility>

// Sanitizers have an operator new of their own. Apple's linker would give ours to all of the process.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SE_WITHOUT_OWN_NEW
#endif
#endif
#if defined(__APPLE__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SE_WITHOUT_OWN_NEW
#endif

#ifndef SE_WITHOUT_OWN_NEW
#include <malloc.h>
#endif

namespace se {
namespace {

thread_local MemoryLimit *current_memory = nullptr;
constexpr uint64_t kLargePiece = 4096;

int64_t usable_bytes(void *memory) {
#ifdef SE_WITHOUT_OWN_NEW
  static_cast<void>(memory);
  return 0;
#else
  return static_cast<int64_t>(malloc_usable_size(memory));
#endif
}

}  // namespace

MemoryLimit::MemoryLimit(uint64_t most_bytes)
    : most_bytes_(static_cast<int64_t>(most_bytes)), outer_(std::exchange(current_memory, this)) {}

MemoryLimit::~MemoryLimit() { current_memory = outer_; }

void MemoryLimit::check(uint64_t bytes) {
  MemoryLimit *limit = current_memory;
  if (limit == nullptr || bytes < kLargePiece) return;
  const int64_t left = limit->most_bytes_ - limit->bytes_;
  if (left >= 0 && bytes <= static_cast<uint64_t>(left)) return;
  limit->is_refused_ = true;
  throw std::bad_alloc();
}

void MemoryLimit::took(void *memory) {
  if (current_memory != nullptr) current_memory->bytes_ += usable_bytes(memory);
}

void MemoryLimit::gives_back(void *memory) {
  if (current_memory != nullptr && memory != nullptr) current_memory->bytes_ -= usable_bytes(memory);
}

}  // namespace se

#ifndef SE_WITHOUT_OWN_NEW
// The other forms call these.
void *operator new(std::size_t bytes) {
  se::MemoryLimit::check(bytes);
  while (true) {
    void *memory = std::malloc(bytes == 0 ? 1 : bytes);
    if (memory != nullptr) {
      se::MemoryLimit::took(memory);
      return memory;
    }
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

void operator delete(void *memory) noexcept {
  se::MemoryLimit::gives_back(memory);
  std::free(memory);
}

// A compiler may call it without the one above.
void operator delete(void *memory, std::size_t) noexcept { operator delete(memory); }
#endif
