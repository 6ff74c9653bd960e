// Where an answer is reasoning, told by the texts around it, and where that must end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace se {

class Reasoning {
 public:
  struct Marks {
    std::string begin;              // empty: the model does not reason
    std::vector<std::string> ends;  // any of them ends it
  };

  // `begun`: the part of the answer that the prompt has already. `budget`: the most tokens of reasoning.
  Reasoning(Marks marks, const std::string &begun, std::optional<uint32_t> budget);

  bool is_on() const { return is_on_; }
  uint32_t tokens() const { return tokens_; }
  // Whether the budget is spent.
  bool is_over() const { return is_on_ && budget_ && tokens_ >= *budget_; }
  // Whether there was some, and it ended.
  bool has_ended() const { return !is_on_ && tokens_ > 0; }
  // What ends it.
  std::string end() const { return marks_.ends.empty() ? "" : marks_.ends.front(); }
  // A token was said, with all its text.
  void accept(std::string_view piece);

 private:
  void look();

  Marks marks_;
  std::optional<uint32_t> budget_;
  bool is_on_ = false;
  uint32_t tokens_ = 0;
  std::string latest_;
};

}  // namespace se
