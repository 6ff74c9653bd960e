// Every length is compared with what is left of the file before it is used.
#include "formats/ggml_reader.h"

#include <bit>
#include <cstring>
#include <utility>

#include "base/status.h"

namespace se {
namespace {

static_assert(std::endian::native == std::endian::little, "the file format is little-endian");

constexpr uint32_t kLongestName = 127;

}  // namespace

GgmlReader::GgmlReader(std::span<const std::byte> bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {
  if (word("its magic number") != kMagic) fail("it does not begin as whisper.cpp's files do");
}

void GgmlReader::fail(const std::string &problem) const {
  throw Error(SE_MODEL_CORRUPT, ticked(name_) + " is damaged: " + problem, "download or convert the model again");
}

const char *GgmlReader::take(uint64_t count, const char *what) {
  if (count > bytes_.size() - offset_) fail(std::string("it ends inside ") + what);
  const std::byte *begin = bytes_.data() + offset_;
  offset_ += count;
  return reinterpret_cast<const char *>(begin);
}

uint32_t GgmlReader::word(const char *what) {
  uint32_t value;
  std::memcpy(&value, take(sizeof(value), what), sizeof(value));
  return value;
}

uint32_t GgmlReader::word(const char *what, uint32_t least, uint32_t most) {
  const uint32_t value = word(what);
  if (value < least || value > most) {
    fail(std::string(what) + " cannot be " + ticked(std::to_string(static_cast<int32_t>(value))));
  }
  return value;
}

GgmlTensor GgmlReader::tensor() {
  GgmlTensor tensor;
  // A single number has no axis.
  tensor.axes = word("the axes of a tensor", 0, 3);
  const uint32_t length = word("the length of a tensor's name", 1, kLongestName);
  const uint32_t type = word("the type of a tensor", 0, GGML_TYPE_COUNT - 1);
  tensor.shape = {1, 1, 1};
  for (uint32_t i = 0; i < tensor.axes; ++i) tensor.shape[i] = word("an axis of a tensor", 1, 1 << 24);
  tensor.name.assign(take(length, "the name of a tensor"), length);
  tensor.type = static_cast<ggml_type>(type);
  // whisper.cpp counts in 32 bits.
  tensor.elements = tensor.shape[0] * tensor.shape[1];
  if (tensor.elements > INT32_MAX || (tensor.elements *= tensor.shape[2]) > INT32_MAX) {
    fail("the tensor " + ticked(tensor.name) + " is too large");
  }
  const auto block = static_cast<uint64_t>(ggml_blck_size(tensor.type));
  // Types that ggml has given up have no size.
  if (block == 0 || ggml_type_size(tensor.type) == 0 || tensor.shape[0] % block != 0) {
    fail("the tensor " + ticked(tensor.name) + " cannot have the type " + ticked(std::to_string(type)));
  }
  tensor.bytes = tensor.elements / block * ggml_type_size(tensor.type);
  take(tensor.bytes, "a tensor");
  return tensor;
}

}  // namespace se
