// The sequences of an engine as conversations: what each holds, and which call may use it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/interrupt.h"

namespace se {

struct Sequence {
  uint32_t index = 0;             // the engine's
  std::vector<int32_t> computed;  // the tokens whose keys and values the engine holds, from position 0
  size_t prompt_tokens = 0;       // of these, the last call's prompt
  std::string key;                // of the last call
};

// All functions may be called from any thread.
class Sequences {
 public:
  explicit Sequences(uint32_t count);

  // A sequence in use by one call, until this ends.
  class Lease {
   public:
    ~Lease() { owner_.give_back(slot_); }
    Lease(const Lease &) = delete;
    Lease &operator=(const Lease &) = delete;
    Sequence *operator->() const { return &owner_.slots_[slot_].sequence; }
    Sequence &operator*() const { return owner_.slots_[slot_].sequence; }

   private:
    friend class Sequences;
    Lease(Sequences &owner, size_t slot) : owner_(owner), slot_(slot) {}

    Sequences &owner_;
    size_t slot_;
  };

  // For a call that will compute `prompt`: the free sequence that was last used with this key, if there is one (empty:
  // none); else one whose last prompt this one continues; else an empty one; else the one with the longest common
  // prefix, or of equal ones the one that was used the longest ago. Waits while all are in use, in the order of the
  // calls; throws CANCELLED or TIMEOUT when interrupted.
  Lease take(std::span<const int32_t> prompt, const std::string &key, const Interrupt &interrupt);

  // The sequence that was last used with this key, or last of all if it is empty, when its call has ended. NOT_FOUND;
  // otherwise as `take`.
  Lease take_used(const std::string &key, const Interrupt &interrupt);

  // Forgets what all sequences hold: those in use when their calls end.
  void forget();

 private:
  struct Slot {
    Sequence sequence;
    bool is_taken = false;
    bool forgets = false;
    uint64_t used = 0;  // number of the call that used it last; 0: none did
  };

  bool has_free() const;
  size_t choose(std::span<const int32_t> prompt, const std::string &key) const;
  void give_back(size_t slot);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Slot> slots_;
  uint64_t calls_ = 0;
  std::deque<uint64_t> waiting_;  // numbers of the calls, the first comes next
};

// How many tokens both begin with.
size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b);

}  // namespace se
