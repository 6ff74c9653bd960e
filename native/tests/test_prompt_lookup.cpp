// What prompt lookup drafts, and that a text of any kind and length is taken.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "text/draft_length.h"
#include "text/prompt_lookup.h"

namespace {

void check(bool holds, const char *what) {
  if (holds) return;
  std::fprintf(stderr, "failed: %s\n", what);
  std::exit(1);
}

std::vector<int32_t> drafted(const std::vector<int32_t> &text, size_t most) {
  se::PromptLookup lookup;
  const se::Interrupt none;
  for (const int32_t token : text) lookup.add(token);
  const auto drafts = lookup.draft(most, none);
  return {drafts.begin(), drafts.end()};
}

void what_came_before_is_drafted() {
  using Tokens = std::vector<int32_t>;
  check(drafted({}, 7).empty(), "an empty text");
  check(drafted({1}, 7).empty() && drafted({1, 2, 3, 4, 5, 6}, 7).empty(), "a text without repetition");
  check(drafted({1, 2, 9, 1, 2}, 7).empty(), "two equal tokens are chance");
  check(drafted({1, 2, 3, 4, 5, 6, 1, 2, 3}, 2) == Tokens({4, 5}), "no more than asked for");
  check(drafted({1, 2, 3, 4, 5, 6, 1, 2, 3}, 7) == Tokens({4, 5, 6}), "as many as were equal");
  check(drafted({8, 1, 2, 3, 4, 9, 1, 2, 3, 5, 8, 1, 2, 3}, 1) == Tokens({4}), "the longest repetition");
  check(drafted({1, 2, 3, 4, 9, 1, 2, 3, 5, 8, 1, 2, 3}, 1) == Tokens({5}), "of equal ones the latest");
  check(drafted(Tokens(40, 6), 9) == Tokens(9, 6), "a token for ever");
  check(drafted({1, 2, 1, 2, 1, 2, 1, 2}, 5) == Tokens({1, 2, 1, 2, 1}), "a repetition of what is drafted");
}

void a_copy_goes_on_while_it_is_right() {
  se::PromptLookup lookup;
  const se::Interrupt none;
  for (int round = 0; round < 2; ++round) {
    for (int32_t token = 0; token < 100; ++token) {
      const auto drafts = lookup.draft(4, none);
      if (round == 1 && token > 10 && token < 90) {
        check(drafts.size() == 4 && drafts[0] == token && drafts[3] == token + 3, "a copy");
      }
      lookup.add(token);
    }
  }
}

void any_text_is_taken() {
  const se::Interrupt none;
  for (const int32_t kinds : {1, 2, 3, 1000}) {
    se::PromptLookup lookup;
    uint32_t state = 1;
    for (int i = 0; i < 200000; ++i) {
      state = state * 1664525 + 1013904223;
      lookup.add(static_cast<int32_t>(state >> 8) % kinds);
      check(lookup.draft(31, none).size() <= 31, "no more than asked for");
    }
  }
}

void drafts_pause_where_they_are_in_vain() {
  se::DraftLength length(31);
  check(length.next() == 3, "it begins with few");
  length.judge(3, 2);
  check(length.next() == 7, "more after right ones");
  length.judge(7, 5);
  check(length.next() == 15, "and more");
  length.judge(2, 1);
  check(length.next() == 3, "fewer after wrong ones");
  int drafts = 0;
  for (int i = 0; i < 2000; ++i) {
    if (length.next() == 0) continue;
    ++drafts;
    length.judge(0, -1);
  }
  check(drafts > 10 && drafts < 60, "seldom where they are in vain");
  while (length.next() == 0) continue;
  for (int i = 0; i < 4; ++i) length.judge(3, 3);
  check(length.next() > 0 && length.next() > 0, "often again");
}

}  // namespace

int main() {
  what_came_before_is_drafted();
  a_copy_goes_on_while_it_is_right();
  any_text_is_taken();
  drafts_pause_where_they_are_in_vain();
  std::puts("passed");
  return 0;
}
