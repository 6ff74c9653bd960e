// The answer on its way out: token bytes become whole characters, and it ends before the first stop string.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace se {

class Answer {
 public:
  // Receives a piece of whole characters; false stops the call.
  using Receiver = std::function<bool(std::string_view)>;

  Answer(std::vector<std::string> stops, Receiver receiver);

  // Adds a token's bytes. False once a stop string was met; nothing is handed out after that.
  bool add(std::string_view bytes);
  // Hands out what was held back because it might have become a stop string or a character.
  void finish();
  // Whether the receiver asked to stop.
  bool refused() const { return refused_; }

 private:
  void hand_out(size_t count);
  size_t held_back() const;

  std::vector<std::string> stops_;
  Receiver receiver_;
  std::string bytes_;  // not yet whole characters
  std::string text_;   // characters not yet handed out
  bool stopped_ = false;
  bool refused_ = false;
};

}  // namespace se
