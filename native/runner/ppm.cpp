// https://netpbm.sourceforge.net/doc/ppm.html, without trust.
#include "ppm.h"

#include <sphere_edge.h>

#include <algorithm>
#include <cctype>

#include "model.h"

namespace runner {
namespace {

constexpr uint32_t kLongestSide = 1 << 14;
constexpr uint32_t kMostLevels = 255;

class PpmReader {
 public:
  PpmReader(const std::string &content, const std::string &name) : content_(content), name_(name) {}

  [[noreturn]] void fail(const char *problem) const {
    throw Failure{SE_INVALID_ARGUMENT, "`" + name_ + "` " + problem, "convert it: magick FILE -auto-orient out.ppm"};
  }

  // After white space and comments.
  uint32_t number() {
    while (at_ < content_.size() && (is_space(content_[at_]) || content_[at_] == '#')) {
      if (content_[at_] == '#') at_ = std::min(content_.find('\n', at_), content_.size() - 1);
      ++at_;
    }
    uint32_t value = 0;
    const size_t begin = at_;
    for (; at_ < content_.size() && content_[at_] >= '0' && content_[at_] <= '9'; ++at_) {
      value = value * 10 + static_cast<uint32_t>(content_[at_] - '0');
      if (value > kLongestSide) fail("has more than 16384 pixels on a side");
    }
    if (at_ == begin) fail("has a damaged header");
    return value;
  }

  // What follows the one white space after the header.
  std::vector<uint8_t> rest(size_t bytes) {
    if (at_ >= content_.size() || !is_space(content_[at_])) fail("has a damaged header");
    ++at_;
    if (content_.size() - at_ < bytes) fail("is cut off");
    return {content_.begin() + static_cast<ptrdiff_t>(at_), content_.begin() + static_cast<ptrdiff_t>(at_ + bytes)};
  }

 private:
  static bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

  const std::string &content_;
  const std::string &name_;
  size_t at_ = 2;
};

}  // namespace

Ppm read_ppm(const std::string &content, const std::string &name) {
  PpmReader reader(content, name);
  if (!content.starts_with("P6")) reader.fail("is not a binary PPM file (P6)");
  const uint32_t width = reader.number(), height = reader.number();
  if (width == 0 || height == 0) reader.fail("has no pixels");
  if (reader.number() != kMostLevels) reader.fail("has not 8 bits per channel");
  return {width, height, reader.rest(size_t{width} * height * 3)};
}

}  // namespace runner
