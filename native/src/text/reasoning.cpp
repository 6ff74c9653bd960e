// Looks for the marks in the latest text.
#include "text/reasoning.h"

#include <algorithm>
#include <utility>

namespace se {
namespace {

constexpr std::string_view kSpaceAround = " \t\r\n";

std::string trimmed(const std::string &text) {
  const size_t first = text.find_first_not_of(kSpaceAround);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(kSpaceAround) + 1 - first);
}

}  // namespace

Reasoning::Reasoning(Marks marks, const std::string &begun, std::optional<uint32_t> budget)
    : marks_(std::move(marks)), budget_(budget) {
  marks_.begin = trimmed(marks_.begin);
  for (std::string &end : marks_.ends) end = trimmed(end);
  std::erase(marks_.ends, "");
  if (marks_.begin.empty() || marks_.ends.empty()) return;
  latest_ = begun;
  look();
}

void Reasoning::accept(std::string_view piece) {
  if (marks_.begin.empty() || marks_.ends.empty()) return;
  if (is_on_) ++tokens_;
  latest_ += piece;
  look();
}

// Each mark is dropped with what precedes it, so that the other one is looked for behind it only.
void Reasoning::look() {
  while (true) {
    size_t at = std::string::npos, behind = 0;
    if (is_on_) {
      for (const std::string &end : marks_.ends) {
        const size_t found = latest_.find(end);
        if (found < at) behind = found + end.size();
        at = std::min(at, found);
      }
    } else {
      at = latest_.find(marks_.begin);
      behind = at + marks_.begin.size();
    }
    if (at == std::string::npos) break;
    latest_.erase(0, behind);
    is_on_ = !is_on_;
  }
  size_t longest = marks_.begin.size();
  for (const std::string &end : marks_.ends) longest = std::max(longest, end.size());
  if (latest_.size() > longest) latest_.erase(0, latest_.size() - longest);
}

}  // namespace se
