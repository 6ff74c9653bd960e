// Shares one engine among the calls that run at once: their decode steps are computed together, their prompts in turn.
//
// No thread of its own: whichever call finds the engine free works for all that wait. Decode steps and everything else
// take turns, so neither a long prompt nor many answers keep the others waiting.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "base/interrupt.h"
#include "engines/engine.h"

namespace se {

// Tokens that follow one another from a position on; what the sequence has there and behind it is dropped if
// `goes_back`.
struct NextTokens {
  std::span<const int32_t> tokens;
  uint32_t position;
  bool goes_back = false;
};

class Scheduler {
 public:
  explicit Scheduler(Engine &engine) : engine_(engine) {}

  // One call that decodes token by token. While it lives the others wait for its next step, but not long.
  class Decoding {
   public:
    Decoding(Scheduler &scheduler, const Interrupt &interrupt, uint32_t sequence);
    ~Decoding();
    Decoding(const Decoding &) = delete;
    Decoding &operator=(const Decoding &) = delete;

    // Computes the next tokens of the sequence. The logits after each replace `logits`, row by row. Throws what the
    // engine throws for this sequence; a failure or an interrupt of another call does not reach this one.
    void step(const NextTokens &next, std::vector<float> &logits);

   private:
    friend class Scheduler;
    // choosing: has its logits and will come again; waiting: for a step to be computed; away: was waited for in vain.
    enum class State { choosing, waiting, computing, away };

    Scheduler &scheduler_;
    const Interrupt &interrupt_;
    NextTokens next_;
    uint32_t sequence_;
    std::vector<float> *logits_ = nullptr;
    State state_ = State::choosing;
    std::exception_ptr failure_;
  };

  // Runs `work`, and nothing else uses the engine meanwhile. Waits for that, until interrupted.
  void alone(const Interrupt &interrupt, const std::function<void(Engine &)> &work);

  // How many calls decode at the moment.
  size_t decoding_calls();

 private:
  using Clock = std::chrono::steady_clock;

  bool any(Decoding::State state) const;
  bool all_gathered();
  void wait(std::unique_lock<std::mutex> &lock);
  void decode_waiting(std::unique_lock<std::mutex> &lock);
  void compute(std::span<Decoding *const> batch);
  void compute_each(std::span<Decoding *const> batch);
  void go_back(const Decoding &one);

  Engine &engine_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_busy_ = false;
  bool is_turn_of_decoding_ = false;
  std::vector<Decoding *> decoding_;
  std::deque<const void *> alone_;  // what waits to run alone, the first comes next
  // Until when the next step waits for calls that are still choosing their token, and how long that is at most.
  Clock::time_point gather_until_{};
  Clock::duration patience_{};
};

}  // namespace se
