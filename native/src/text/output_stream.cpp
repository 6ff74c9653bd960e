// Holds back what may still become a stop string.
#include "text/output_stream.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "base/utf8.h"

namespace se {

OutputStream::OutputStream(std::vector<std::string> stops, Receiver receiver)
    : stops_(std::move(stops)), receiver_(std::move(receiver)) {}

bool OutputStream::add(std::string_view bytes) {
  if (stop_index_ >= 0) return false;
  bytes_ += bytes;
  text_ += take_characters(bytes_, false);
  size_t stop_at = std::string::npos;
  for (size_t i = 0; i < stops_.size(); ++i) {
    const size_t found = text_.find(stops_[i]);
    if (found < stop_at) stop_index_ = static_cast<int32_t>(i);
    stop_at = std::min(stop_at, found);
  }
  if (stop_at != std::string::npos) {
    pass_on(stop_at);
    text_.clear();
    bytes_.clear();
    return false;
  }
  pass_on(text_.size() - held_back());
  return true;
}

void OutputStream::finish() {
  if (stop_index_ >= 0) return;
  text_ += take_characters(bytes_, true);
  pass_on(text_.size());
}

void OutputStream::check() const {
  if (is_cancelled_) throw Error(SE_CANCELLED, "the callback stopped the call");
}

// The longest suffix of the text that is a prefix of a stop string. Stop strings are valid UTF-8, so the cut lies
// between characters.
size_t OutputStream::held_back() const {
  size_t most = 0;
  for (const std::string &stop : stops_) {
    for (size_t count = std::min(stop.size() - 1, text_.size()); count > most; --count) {
      if (text_.compare(text_.size() - count, count, stop, 0, count) == 0) most = count;
    }
  }
  return most;
}

void OutputStream::pass_on(size_t count) {
  if (count == 0) return;
  const std::string piece = text_.substr(0, count);
  text_.erase(0, count);
  if (!is_cancelled_ && !receiver_(piece)) is_cancelled_ = true;
}

}  // namespace se
