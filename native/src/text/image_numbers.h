// Numbers in the place of tokens for images, so that a prompt with images is compared like any other.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "engines/image_encoder.h"

namespace se {

// From any thread.
class ImageNumbers {
 public:
  // Below every token id; the same for the same piece of the same pixels, and of no other.
  int32_t number(const std::string &image, size_t piece);

  // Of the pixels and the size.
  static std::string name(const ChatImage &image);

 private:
  std::mutex mutex_;
  std::map<std::string, int32_t> numbers_;
  int32_t last_ = 0;
};

}  // namespace se
