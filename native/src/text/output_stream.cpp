// Holds back what may still turn into a stop string.
#include "text/output_stream.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace se {

Answer::Answer(std::vector<std::string> stops, Receiver receiver)
    : stops_(std::move(stops)), receiver_(std::move(receiver)) {}

bool Answer::add(std::string_view bytes) {
  if (stopped_) return false;
  bytes_ += bytes;
  text_ += take_characters(bytes_, false);
  size_t stop_at = std::string::npos;
  for (const std::string &stop : stops_) stop_at = std::min(stop_at, text_.find(stop));
  if (stop_at != std::string::npos) {
    hand_out(stop_at);
    stopped_ = true;
    text_.clear();
    bytes_.clear();
    return false;
  }
  hand_out(text_.size() - held_back());
  return true;
}

void Answer::finish() {
  if (stopped_) return;
  text_ += take_characters(bytes_, true);
  hand_out(text_.size());
}

// The longest end of the text with which some stop string begins. Stop strings are valid UTF-8, so the cut lies
// between characters.
size_t Answer::held_back() const {
  size_t most = 0;
  for (const std::string &stop : stops_) {
    for (size_t count = std::min(stop.size() - 1, text_.size()); count > most; --count) {
      if (text_.compare(text_.size() - count, count, stop, 0, count) == 0) most = count;
    }
  }
  return most;
}

void Answer::hand_out(size_t count) {
  if (count == 0) return;
  const std::string piece = text_.substr(0, count);
  text_.erase(0, count);
  if (!refused_ && !receiver_(piece)) refused_ = true;
}

}  // namespace se
