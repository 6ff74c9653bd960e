// Reads safetensors headers without trusting them.
#include "formats/safetensors.h"

#include <cstring>
#include <utility>

#include "base/json.h"
#include "base/status.h"

namespace se {
namespace {

// The reference implementation's own limit.
constexpr uint64_t kLargestHeader = 100'000'000;

struct Range {
  uint64_t begin;
  uint64_t end;
};

Range range_of(JsonObject &entry) {
  const Json &offsets = entry.array("data_offsets");
  if (offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) {
    entry.fail("has no pair of `data_offsets`");
  }
  return {offsets[0].get<uint64_t>(), offsets[1].get<uint64_t>()};
}

WeightTensor read_entry(JsonObject &entry, std::span<const std::byte> data) {
  WeightTensor tensor;
  tensor.dtype = entry.string("dtype");
  const uint32_t bits = dtype_bits(tensor.dtype);
  if (bits == 0) entry.fail("has the unknown dtype " + ticked(tensor.dtype));
  uint64_t elements = 1;
  for (const Json &extent : entry.array("shape")) {
    if (!extent.is_number_unsigned() || extent.get<uint64_t>() == 0 || extent.get<uint64_t>() > (1ULL << 40) ||
        elements > (1ULL << 48) / extent.get<uint64_t>()) {
      entry.fail("has an impossible shape");
    }
    elements *= extent.get<uint64_t>();
    tensor.shape.push_back(extent.get<int64_t>());
  }
  const Range range = range_of(entry);
  entry.finish();
  if (range.begin > range.end || range.end > data.size()) entry.fail("lies outside the file");
  if (range.end - range.begin != elements * bits / 8) entry.fail("has a shape that does not match its bytes");
  tensor.bytes = data.subspan(range.begin, range.end - range.begin);
  return tensor;
}

}  // namespace

uint32_t dtype_bits(const std::string &dtype) {
  static const std::map<std::string, uint32_t> bits = {
      {"F64", 64}, {"F32", 32}, {"F16", 16}, {"BF16", 16}, {"I64", 64}, {"I32", 32},    {"I16", 16},
      {"I8", 8},   {"U64", 64}, {"U32", 32}, {"U16", 16},  {"U8", 8},   {"F8_E4M3", 8}, {"F8_E5M2", 8}};
  const auto found = bits.find(dtype);
  return found == bits.end() ? 0 : found->second;
}

WeightFiles::WeightFiles(const std::vector<std::filesystem::path> &paths) {
  files_.reserve(paths.size());
  for (const auto &path : paths) {
    files_.emplace_back(path);
    files_.back().will_need();
    add(files_.back(), path.filename().string());
  }
}

void WeightFiles::add(const MappedFile &file, const std::string &name) {
  const auto bytes = file.bytes();
  uint64_t header_bytes = 0;
  if (bytes.size() >= sizeof(header_bytes)) std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  if (header_bytes < 2 || header_bytes > kLargestHeader || header_bytes > bytes.size() - sizeof(header_bytes)) {
    throw Error(SE_MODEL_CORRUPT, "weights file " + ticked(name) + " has a damaged header");
  }
  const auto *header = reinterpret_cast<const char *>(bytes.data()) + sizeof(header_bytes);
  const Json document =
      parse_json(std::string(header, header_bytes), "the header of weights file " + ticked(name), SE_MODEL_CORRUPT);
  if (!document.is_object()) throw Error(SE_MODEL_CORRUPT, "weights file " + ticked(name) + " has a damaged header");
  const auto data = bytes.subspan(sizeof(header_bytes) + header_bytes);
  for (const auto &[key, value] : document.items()) {
    if (key == "__metadata__") continue;
    JsonObject entry(value, "tensor " + ticked(key) + " of " + ticked(name), SE_MODEL_CORRUPT);
    const WeightTensor tensor = read_entry(entry, data);
    total_bytes_ += tensor.bytes.size();
    if (!tensors_.emplace(key, tensor).second) entry.fail("is in two weights files");
  }
}

const WeightTensor &WeightFiles::tensor(const std::string &name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw Error(SE_MODEL_CORRUPT, "the weights hold no tensor " + ticked(name), "package the model again");
  }
  return found->second;
}

}  // namespace se
