// The text on its way to the caller: token bytes become whole characters, and it ends before the first stop string.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace se {

class OutputStream {
 public:
  // Receives a piece of whole characters; false stops the call.
  using Receiver = std::function<bool(std::string_view)>;

  OutputStream(std::vector<std::string> stops, Receiver receiver);

  // Adds the bytes of a token. Returns false once a stop string was found; nothing is passed on after that.
  bool add(std::string_view bytes);
  // Passes on what was held back because it could have become a stop string or a character.
  void finish();
  // Which stop string was found; -1: none.
  int32_t stop_index() const { return stop_index_; }
  // Throws CANCELLED if the receiver returned false.
  void check() const;

 private:
  void pass_on(size_t count);
  size_t held_back() const;

  std::vector<std::string> stops_;
  Receiver receiver_;
  std::string bytes_;  // not yet whole characters
  std::string text_;   // characters not yet passed on
  int32_t stop_index_ = -1;
  bool is_cancelled_ = false;
};

}  // namespace se
