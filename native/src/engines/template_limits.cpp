// Counts values and memory, watches the clock and the depth of the stack.
#include "engines/template_limits.h"

#include <jinja/lexer.h>
#include <jinja/value.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/status.h"

namespace se {
namespace {

thread_local TemplateLimits *current_limits = nullptr;

// Musl's threads have 128 KiB in all, others 512 KiB and more; the deepest of llama.cpp's sample templates needs 27
// KiB.
constexpr uintptr_t kMostStackBytes = 96 * 1024;
constexpr uint64_t kValuesPerLookAtTheClock = 256;
// A value of a usual template is looked at about as often.
constexpr uint32_t kLooksPerValue = 16;
// Of llama.cpp's 70 sample templates the greediest takes 3 MB for a short chat.
constexpr uint64_t kMostTemplateBytes = 512ULL << 20;
constexpr const char *kTooMuchMemory = "takes too much memory";
constexpr const char *kInterrupted = "was interrupted";
constexpr size_t kFewHolders = 4096;
constexpr int kMostNestedTuples = 300;
// The longest statement of those 70 templates has 57 tokens, and at most 13 blocks are nested.
constexpr int kMostTokensInStatement = 600;
constexpr int kDeepestNesting = 64;

// Counts tuples in tuples down from `left`.
void count_tuples(const jinja::value_t &value, int &left) {
  if (--left < 0) throw std::runtime_error("the template makes tuples of too many tuples");
  for (const jinja::value &each : value.val_arr) {
    if (dynamic_cast<const jinja::value_tuple_t *>(each.get()) != nullptr) count_tuples(*each, left);
  }
}

// What `value` holds is held by others as well, and so is not freed here.
void let_go(jinja::value_t &value) {
  value.val_arr.clear();
  value.val_obj.clear();
  if (auto *object = dynamic_cast<jinja::value_object_t *>(&value)) object->unordered.clear();
}

uintptr_t stack_address() { return reinterpret_cast<uintptr_t>(__builtin_frame_address(0)); }

}  // namespace

TemplateLimits::TemplateLimits(const Interrupt &interrupt, uint64_t most_values)
    : interrupt_(interrupt),
      values_left_(most_values),
      stack_(stack_address()),
      outer_(current_limits),
      memory_(kMostTemplateBytes),
      next_drop_(kFewHolders) {
  current_limits = this;
}

TemplateLimits::~TemplateLimits() {
  for (const auto &holder : holders_) let_go(*holder);
  current_limits = outer_;
}

void TemplateLimits::check(se_status status) const {
  interrupt_.check();
  const std::string exceeded = memory_.exceeded() ? kTooMuchMemory : exceeded_;
  if (!exceeded.empty()) {
    throw Error(status, "the model's chat template " + exceeded, "package the model with another template");
  }
}

void TemplateLimits::check_depth() {
  const uintptr_t here = stack_address();
  const uintptr_t depth = here < stack_ ? stack_ - here : here - stack_;
  if (depth > kMostStackBytes) exceeded_ = "calls itself without end";
}

void TemplateLimits::step() {
  TemplateLimits *limits = current_limits;
  if (limits == nullptr) return;
  if (limits->exceeded_.empty()) {
    limits->check_depth();
    if (limits->memory_.exceeded()) limits->exceeded_ = kTooMuchMemory;
    if (limits->values_left_ == 0) {
      limits->exceeded_ = "computes without end";
    } else if (--limits->values_left_ % kValuesPerLookAtTheClock == 0 && limits->interrupt_.raised()) {
      limits->exceeded_ = kInterrupted;
    }
  }
  if (!limits->exceeded_.empty()) throw std::runtime_error("the template " + limits->exceeded_);
}

void TemplateLimits::look() {
  TemplateLimits *limits = current_limits;
  if (limits == nullptr) return;
  if (++limits->looks_ % kLooksPerValue == 0) step();
  if (limits->exceeded_.empty()) limits->check_depth();
  if (!limits->exceeded_.empty()) throw std::runtime_error("the template " + limits->exceeded_);
}

void TemplateLimits::check_interrupted() {
  TemplateLimits *limits = current_limits;
  if (limits == nullptr) return;
  if (limits->exceeded_.empty() && limits->interrupt_.raised()) limits->exceeded_ = kInterrupted;
  if (!limits->exceeded_.empty()) throw std::runtime_error("the template " + limits->exceeded_);
}

void TemplateLimits::hold(std::shared_ptr<jinja::value_t> value) {
  int left = kMostNestedTuples;
  if (dynamic_cast<const jinja::value_tuple_t *>(value.get()) != nullptr) count_tuples(*value, left);
  TemplateLimits *limits = current_limits;
  if (limits == nullptr) return;
  limits->holders_.push_back(std::move(value));
  if (limits->holders_.size() >= limits->next_drop_) limits->drop_unused();
}

void TemplateLimits::drop_unused() {
  // From the newest on, which most often hold the older ones.
  for (auto holder = holders_.rbegin(); holder != holders_.rend(); ++holder) {
    if (holder->use_count() > 1) continue;
    let_go(**holder);
    holder->reset();
  }
  std::erase(holders_, nullptr);
  next_drop_ = std::max(kFewHolders, 2 * holders_.size());
}

void template_step() { TemplateLimits::step(); }
void template_look() { TemplateLimits::look(); }
void template_holds(std::shared_ptr<jinja::value_t> value) { TemplateLimits::hold(std::move(value)); }

void check_template_shape(const std::string &source) {
  using jinja::token;
  static const std::set<std::string> kBegins = {"if", "for", "macro", "call", "filter", "elif"};
  static const std::set<std::string> kEnds = {"endif", "endfor", "endmacro", "endcall", "endfilter"};
  jinja::lexer lexer;
  int tokens = 0, brackets = 0;
  // Each `elif` is a level of its own in the syntax tree until its `endif`.
  std::vector<int> blocks;
  int depth = 0;
  bool begins_statement = false;
  for (const token &each : lexer.tokenize(source).tokens) {
    ++tokens;
    switch (each.t) {
      case token::open_statement:
      case token::open_expression:
      case token::text:
      case token::comment:
        tokens = brackets = 0;
        break;
      case token::open_paren:
      case token::open_square_bracket:
      case token::open_curly_bracket:
        ++brackets;
        break;
      case token::close_paren:
      case token::close_square_bracket:
      case token::close_curly_bracket:
        --brackets;
        break;
      case token::identifier:
        if (!begins_statement) break;
        if (each.value == "elif" && !blocks.empty()) {
          ++blocks.back();
          ++depth;
        } else if (kBegins.contains(each.value)) {
          blocks.push_back(1);
          ++depth;
        } else if (kEnds.contains(each.value) && !blocks.empty()) {
          depth -= blocks.back();
          blocks.pop_back();
        }
        break;
      default:
        break;
    }
    begins_statement = each.t == token::open_statement;
    if (tokens > kMostTokensInStatement) throw std::runtime_error("a statement has too many parts");
    if (brackets > kDeepestNesting || depth > kDeepestNesting) throw std::runtime_error("it is nested too deeply");
  }
}

}  // namespace se
