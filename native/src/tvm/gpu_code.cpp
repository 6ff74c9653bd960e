// Reads it strictly: every count and size is compared with what is there.
#include "tvm/gpu_code.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/status.h"

namespace se {
namespace {

constexpr uint64_t kMostKernels = 4096;
constexpr uint64_t kMostArguments = 128;

class Reader {
 public:
  Reader(const char *data, size_t bytes) : data_(data), left_(bytes) {}

  uint64_t count(uint64_t most) {
    uint64_t number = 0;
    take(&number, sizeof number);
    if (number > most) refuse_gpu_code();
    return number;
  }
  std::string text(uint64_t most) {
    std::string words(std::min<uint64_t>(count(most), left_), '\0');
    take(words.data(), words.size());
    return words;
  }
  DLDataType type() {
    DLDataType type{};
    take(&type.code, 1);
    take(&type.bits, 1);
    take(&type.lanes, 2);
    return type;
  }
  void skip_numbers(uint64_t most) {
    for (uint64_t left = count(most); left > 0; --left) {
      int32_t unused = 0;
      take(&unused, sizeof unused);
    }
  }

 private:
  void take(void *out, size_t bytes) {
    if (bytes > left_) refuse_gpu_code();
    std::memcpy(out, data_, bytes);
    data_ += bytes;
    left_ -= bytes;
  }
  const char *data_;
  size_t left_;
};

unsigned extent_of(const std::string &tag) {
  for (const auto &[prefix, first] : {std::pair("blockIdx.", 0U), std::pair("threadIdx.", 3U)}) {
    const std::string start(prefix);
    if (tag.size() == start.size() + 1 && tag.compare(0, start.size(), start) == 0) {
      const char axis = tag.back();
      if (axis >= 'x' && axis <= 'z') return first + static_cast<unsigned>(axis - 'x');
    }
  }
  refuse_gpu_code();
}

}  // namespace

void refuse_gpu_code() {
  throw Error(SE_MODEL_CORRUPT, "the compiled model's kernels are damaged", "package the model again");
}

GpuCodeParts read_gpu_code(const char *data, size_t bytes) {
  Reader reader(data, bytes);
  GpuCodeParts parts;
  parts.format = reader.text(64);
  for (uint64_t left = reader.count(kMostKernels); left > 0; --left) {
    const std::string name = reader.text(1024);
    reader.text(1024);  // the name again
    GpuSignature signature;
    for (uint64_t i = reader.count(kMostArguments); i > 0; --i) signature.arguments.push_back(reader.type());
    for (uint64_t i = reader.count(16); i > 0; --i) signature.extents.push_back(extent_of(reader.text(64)));
    reader.skip_numbers(kMostArguments);
    parts.signatures.emplace(name, std::move(signature));
  }
  if (parts.format != "metal") {
    parts.code = reader.text(bytes);
    return parts;
  }
  for (uint64_t left = reader.count(kMostKernels); left > 0; --left) {
    const std::string name = reader.text(1024);
    parts.sources.emplace(name, reader.text(bytes));
  }
  return parts;
}

}  // namespace se
