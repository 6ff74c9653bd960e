// Counts images; what was forgotten gets a new number, and is computed again.
#include "text/image_numbers.h"

#include "base/sha256.h"

namespace se {
namespace {

// Far more than all sequences hold.
constexpr size_t kMostNumbers = 1 << 14;

}  // namespace

int32_t ImageNumbers::number(const std::string &image, size_t piece) {
  const std::lock_guard lock(mutex_);
  const std::string key = image + " " + std::to_string(piece);
  if (const auto found = numbers_.find(key); found != numbers_.end()) return found->second;
  if (numbers_.size() >= kMostNumbers) numbers_.clear();
  // Numbers are not given twice while a sequence may hold the first: that takes 2^31 images.
  last_ = last_ == INT32_MIN ? -1 : last_ - 1;
  return numbers_[key] = last_;
}

std::string ImageNumbers::name(const ChatImage &image) {
  const uint32_t size[] = {image.width, image.height};
  Sha256 hash;
  hash.add(std::as_bytes(std::span(size)));
  hash.add(std::as_bytes(image.pixels));
  return hash.finish();
}

}  // namespace se
