// The claiming thread pool: one atomic ticket, short spinning, then sleep.
#include "base/thread_pool.h"

#include <algorithm>

namespace se {
namespace {

// Two kernels of one token are a few microseconds apart; sampling comes between two tokens. Longer waits sleep.
constexpr int kSpins = 4000;
// While the last pieces of others finish, the caller spins this long before it yields its core.
constexpr int kSpinsForOthers = 2000;
constexpr int kMostPieces = 0xFFFF;

thread_local bool inside_piece = false;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

uint32_t next_of(uint64_t ticket) { return static_cast<uint32_t>(ticket & 0xFFFF); }
uint32_t count_of(uint64_t ticket) { return static_cast<uint32_t>(ticket >> 16 & 0xFFFF); }
bool has_work(uint64_t ticket) { return next_of(ticket) < count_of(ticket); }

}  // namespace

ThreadPool::ThreadPool(int threads) {
  workers_.reserve(static_cast<size_t>(std::max(0, threads - 1)));
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  closing_ = true;
  wake_.fetch_add(1);
  wake_.notify_all();
  for (std::thread &worker : workers_) worker.join();
}

int ThreadPool::run(Piece piece, int count, void *context) {
  if (count <= 0) return 0;
  count = std::min(count, kMostPieces);
  if (workers_.empty() || inside_piece || count == 1) {
    int failure = 0;
    for (int i = 0; i < count && failure == 0; ++i) failure = piece(i, count, context);
    return failure;
  }
  piece_.store(piece, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  failure_.store(0, std::memory_order_relaxed);
  const uint64_t generation = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  ticket_.store(generation << 32 | static_cast<uint64_t>(count) << 16, std::memory_order_seq_cst);
  wake_sleepers();
  while (claim_and_run()) {
  }
  for (int spins = 0; done_.load(std::memory_order_acquire) != static_cast<uint32_t>(count); ++spins) {
    if (spins < kSpinsForOthers) {
      relax();
    } else {
      // A worker was preempted in the middle of a piece: give it this core.
      std::this_thread::yield();
    }
  }
  return failure_.load(std::memory_order_relaxed);
}

bool ThreadPool::claim_and_run() {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while (has_work(ticket)) {
    const Piece piece = piece_.load(std::memory_order_relaxed);
    void *context = context_.load(std::memory_order_relaxed);
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
      continue;
    }
    inside_piece = true;
    const int failure = piece(static_cast<int>(next_of(ticket)), static_cast<int>(count_of(ticket)), context);
    inside_piece = false;
    if (failure != 0) {
      int none = 0;
      failure_.compare_exchange_strong(none, failure, std::memory_order_relaxed);
    }
    done_.fetch_add(1, std::memory_order_release);
    return true;
  }
  return false;
}

void ThreadPool::wake_sleepers() {
  if (sleepers_.load(std::memory_order_seq_cst) == 0) return;
  wake_.fetch_add(1, std::memory_order_seq_cst);
  wake_.notify_all();
}

void ThreadPool::work() {
  int spins = 0;
  while (!closing_.load(std::memory_order_relaxed)) {
    if (claim_and_run()) {
      spins = 0;
    } else if (++spins < kSpins) {
      relax();
    } else {
      const int32_t seen = wake_.load(std::memory_order_seq_cst);
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      // A loop that began before the count went up did not wake us, but its ticket is visible now.
      if (!has_work(ticket_.load(std::memory_order_seq_cst)) && !closing_.load()) wake_.wait(seen);
      sleepers_.fetch_sub(1, std::memory_order_seq_cst);
      spins = 0;
    }
  }
}

}  // namespace se
