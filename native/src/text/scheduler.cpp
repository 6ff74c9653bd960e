// Turns, batches and failures of the calls that share an engine.
#include "text/scheduler.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/status.h"

namespace se {
namespace {

// A cancelled call that waits for the engine notices within this time.
constexpr auto kEngineWait = std::chrono::milliseconds(20);
// A step waits for the other calls at most half as long as it takes, and no longer than this.
constexpr std::chrono::steady_clock::duration kMostPatience = std::chrono::milliseconds(20);

void append_steps(std::vector<Step> &steps, uint32_t sequence, const NextTokens &next) {
  for (size_t i = 0; i < next.tokens.size(); ++i) {
    steps.push_back({sequence, next.tokens[i], next.position + static_cast<uint32_t>(i)});
  }
}

}  // namespace

Scheduler::Decoding::Decoding(Scheduler &scheduler, const Interrupt &interrupt, uint32_t sequence)
    : scheduler_(scheduler), interrupt_(interrupt), next_{}, sequence_(sequence) {
  const std::lock_guard lock(scheduler_.mutex_);
  scheduler_.decoding_.push_back(this);
}

Scheduler::Decoding::~Decoding() {
  const std::lock_guard lock(scheduler_.mutex_);
  std::erase(scheduler_.decoding_, this);
  scheduler_.changed_.notify_all();
}

void Scheduler::Decoding::step(const NextTokens &next, std::vector<float> &logits) {
  Scheduler &scheduler = scheduler_;
  std::unique_lock lock(scheduler.mutex_);
  next_ = next;
  logits_ = &logits;
  failure_ = nullptr;
  state_ = State::waiting;
  scheduler.changed_.notify_all();
  while (state_ == State::waiting || state_ == State::computing) {
    if (state_ == State::waiting && interrupt_.raised()) {
      state_ = State::choosing;
      interrupt_.check();
    }
    const bool is_turn = scheduler.is_turn_of_decoding_ || scheduler.alone_.empty();
    if (!scheduler.is_busy_ && is_turn && scheduler.all_gathered()) {
      scheduler.decode_waiting(lock);
    } else {
      scheduler.wait(lock);
    }
  }
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

bool Scheduler::any(Decoding::State state) const {
  return std::any_of(decoding_.begin(), decoding_.end(), [&](const Decoding *one) { return one->state_ == state; });
}

bool Scheduler::all_gathered() {
  if (!any(Decoding::State::choosing)) return true;
  if (Clock::now() < gather_until_) return false;
  for (Decoding *one : decoding_) {
    if (one->state_ == Decoding::State::choosing) one->state_ = Decoding::State::away;
  }
  return true;
}

void Scheduler::wait(std::unique_lock<std::mutex> &lock) {
  const auto now = Clock::now();
  auto until = now + kEngineWait;
  if (!is_busy_ && gather_until_ > now) until = std::min(until, gather_until_);
  changed_.wait_until(lock, until);
}

void Scheduler::decode_waiting(std::unique_lock<std::mutex> &lock) {
  std::vector<Decoding *> batch;
  batch.reserve(decoding_.size());
  for (Decoding *one : decoding_) {
    if (one->state_ != Decoding::State::waiting) continue;
    one->state_ = Decoding::State::computing;
    batch.push_back(one);
  }
  is_busy_ = true;
  lock.unlock();
  const auto begin = Clock::now();
  compute(batch);
  const auto end = Clock::now();
  lock.lock();
  is_busy_ = is_turn_of_decoding_ = false;
  patience_ = std::min((end - begin) / 2, kMostPatience);
  gather_until_ = end + patience_;
  for (Decoding *one : batch) one->state_ = Decoding::State::choosing;
  changed_.notify_all();
}

void Scheduler::compute(std::span<Decoding *const> batch) {
  if (batch.size() == 1) return compute_each(batch);
  try {
    std::vector<Step> steps;
    for (const Decoding *one : batch) {
      if (one->next_.goes_back) go_back(*one);
      append_steps(steps, one->sequence_, one->next_);
    }
    // An interrupt of one must not end the step of the others; it is noticed after it.
    const Interrupt none;
    auto logits = engine_.decode(steps, none);
    const size_t vocabulary = logits.size() / steps.size();
    for (Decoding *one : batch) {
      const auto rows = logits.first(one->next_.tokens.size() * vocabulary);
      one->logits_->assign(rows.begin(), rows.end());
      logits = logits.subspan(rows.size());
    }
  } catch (...) {
    // Which of them it was shows when each is computed by itself.
    compute_each(batch);
  }
}

void Scheduler::compute_each(std::span<Decoding *const> batch) {
  for (Decoding *one : batch) {
    try {
      if (batch.size() > 1 || one->next_.goes_back) go_back(*one);
      std::vector<Step> steps;
      append_steps(steps, one->sequence_, one->next_);
      const auto logits = engine_.decode(steps, one->interrupt_);
      one->logits_->assign(logits.begin(), logits.end());
    } catch (...) {
      one->failure_ = std::current_exception();
    }
  }
}

void Scheduler::go_back(const Decoding &one) {
  const uint32_t position = one.next_.position;
  if (engine_.rewind(one.sequence_, position) == position) return;
  throw Error(SE_INTERNAL, "the engine cannot go back to position " + ticked(position));
}

size_t Scheduler::decoding_calls() {
  const std::lock_guard lock(mutex_);
  return decoding_.size();
}

void Scheduler::alone(const Interrupt &interrupt, const std::function<void(Engine &)> &work) {
  std::unique_lock lock(mutex_);
  alone_.push_back(&work);
  const auto leave = [&] {
    std::erase(alone_, &work);
    changed_.notify_all();
  };
  const auto may_begin = [&] {
    if (is_busy_ || alone_.front() != &work) return false;
    return !is_turn_of_decoding_ || (all_gathered() && !any(Decoding::State::waiting));
  };
  while (!may_begin()) {
    if (interrupt.raised()) {
      leave();
      interrupt.check();
    }
    wait(lock);
  }
  is_busy_ = true;
  lock.unlock();
  std::exception_ptr failure;
  try {
    work(engine_);
  } catch (...) {
    failure = std::current_exception();
  }
  lock.lock();
  is_busy_ = false;
  is_turn_of_decoding_ = true;
  gather_until_ = Clock::now() + patience_;
  leave();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace se
