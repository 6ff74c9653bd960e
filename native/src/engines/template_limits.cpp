// Counts values, watches the clock and the depth of the stack.
#include "engines/template_limits.h"

#include <jinja/lexer.h>

#include <set>
#include <stdexcept>
#include <vector>

#include "base/status.h"

namespace se {
namespace {

thread_local TemplateLimits *current_limits = nullptr;

// Musl's threads have 128 KiB in all, others 512 KiB and more; the deepest of llama.cpp's sample templates needs 27
// KiB.
constexpr uintptr_t kMostStackBytes = 96 * 1024;
constexpr uint64_t kValuesPerLookAtTheClock = 256;
// The longest statement of those 70 templates has 57 tokens, and at most 13 blocks are nested.
constexpr int kMostTokensInStatement = 600;
constexpr int kDeepestNesting = 64;

uintptr_t stack_address() { return reinterpret_cast<uintptr_t>(__builtin_frame_address(0)); }

}  // namespace

TemplateLimits::TemplateLimits(const Interrupt &interrupt, uint64_t most_values)
    : interrupt_(interrupt), values_left_(most_values), stack_(stack_address()), outer_(current_limits) {
  current_limits = this;
}

TemplateLimits::~TemplateLimits() { current_limits = outer_; }

void TemplateLimits::check(se_status status) const {
  interrupt_.check();
  if (!exceeded_.empty()) {
    throw Error(status, "the model's chat template " + exceeded_, "package the model with another template");
  }
}

void TemplateLimits::step() {
  TemplateLimits *limits = current_limits;
  if (limits == nullptr) return;
  if (limits->exceeded_.empty()) {
    const uintptr_t here = stack_address();
    const uintptr_t depth = here < limits->stack_ ? limits->stack_ - here : here - limits->stack_;
    if (depth > kMostStackBytes) limits->exceeded_ = "calls itself without end";
    if (limits->values_left_ == 0) {
      limits->exceeded_ = "computes without end";
    } else if (--limits->values_left_ % kValuesPerLookAtTheClock == 0 && limits->interrupt_.raised()) {
      limits->exceeded_ = "was interrupted";
    }
  }
  if (!limits->exceeded_.empty()) throw std::runtime_error("the template " + limits->exceeded_);
}

void template_step() { TemplateLimits::step(); }

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
