// Reads GGUF headers without trusting any length in them.
#include "formats/gguf.h"

#include <ggml.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "llama-arch.h"

namespace se {
namespace fs = std::filesystem;
namespace {

enum ValueType : uint32_t { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64, VALUE_TYPES };
constexpr size_t kValueBytes[VALUE_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
constexpr uint64_t kMostEntries = 1 << 20;
constexpr uint64_t kLongestKey = 1 << 16;
constexpr uint64_t kMostParts = 9999;

// A cursor over the mapped file that cannot leave it.
class GgufReader {
 public:
  GgufReader(std::span<const std::byte> bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {}

  [[noreturn]] void fail(const std::string &problem) const {
    throw Error(SE_MODEL_CORRUPT, ticked(name_) + " is damaged: " + problem, "download or convert the model again");
  }

  const std::byte *take(uint64_t count, const char *what) {
    if (count > bytes_.size() - offset_) fail(std::string("it ends inside ") + what);
    const std::byte *begin = bytes_.data() + offset_;
    offset_ += count;
    return begin;
  }

  template <typename T>
  T number(const char *what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what), sizeof(T));
    return value;
  }

  std::string string(const char *what) {
    const auto size = number<uint64_t>(what);
    return std::string(reinterpret_cast<const char *>(take(size, what)), size);
  }

  void skip_value(uint32_t type, uint64_t count) {
    if (type == STRING) {
      for (uint64_t i = 0; i < count; ++i) take(number<uint64_t>("a string"), "a string");
    } else if (type < VALUE_TYPES && kValueBytes[type] != 0) {
      if (count > bytes_.size() / kValueBytes[type]) fail("a list is longer than the file");
      take(count * kValueBytes[type], "a list");
    } else {
      fail("a value has the unknown type " + ticked(std::to_string(type)));
    }
  }

  uint64_t offset() const { return offset_; }
  uint64_t size() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  std::string name_;
  uint64_t offset_ = 0;
};

template <typename T>
void keep_count(GgufHeader &header, const std::string &key, T value) {
  if (value >= 0) {
    header.counts[key] = static_cast<uint64_t>(value);
  } else {
    header.reals[key] = static_cast<double>(value);
  }
}

void read_value(GgufReader &reader, GgufHeader &header, const std::string &key) {
  const auto type = reader.number<uint32_t>("the metadata");
  switch (type) {
    case U8:
      return keep_count(header, key, reader.number<uint8_t>("the metadata"));
    case I8:
      return keep_count(header, key, reader.number<int8_t>("the metadata"));
    case BOOL:
      return keep_count(header, key, reader.number<uint8_t>("the metadata") != 0 ? 1 : 0);
    case U16:
      return keep_count(header, key, reader.number<uint16_t>("the metadata"));
    case I16:
      return keep_count(header, key, reader.number<int16_t>("the metadata"));
    case U32:
      return keep_count(header, key, reader.number<uint32_t>("the metadata"));
    case I32:
      return keep_count(header, key, reader.number<int32_t>("the metadata"));
    case U64:
      return keep_count(header, key, reader.number<uint64_t>("the metadata"));
    case I64:
      return keep_count(header, key, reader.number<int64_t>("the metadata"));
    case F32:
      header.reals[key] = static_cast<double>(reader.number<float>("the metadata"));
      return;
    case F64:
      header.reals[key] = reader.number<double>("the metadata");
      return;
    case STRING:
      header.strings[key] = reader.string("the metadata");
      return;
    case ARRAY: {
      const auto element = reader.number<uint32_t>("the metadata");
      const auto count = reader.number<uint64_t>("the metadata");
      reader.skip_value(element, count);
      header.arrays[key] = {element, count};
      return;
    }
    default:
      reader.skip_value(type, 1);  // it fails
  }
}

struct Extent {
  uint64_t begin;
  uint64_t end;
};

// One tensor's description: its bytes within the data section; adds it to the totals.
Extent read_tensor(GgufReader &reader, GgufHeader &header, std::set<std::string> &names,
                   std::map<std::string, uint64_t> &parameters_of_type) {
  const std::string name = reader.string("the tensor list");
  const std::string tensor = "tensor " + ticked(name.substr(0, 64));
  if (name.size() >= GGML_MAX_NAME) reader.fail(tensor + " has a name that is too long");
  if (!names.insert(name).second) reader.fail(tensor + " is there twice");
  const auto rank = reader.number<uint32_t>("the tensor list");
  if (rank > GGML_MAX_DIMS) reader.fail(tensor + " has " + std::to_string(rank) + " dimensions");
  uint64_t row = 1;
  uint64_t elements = 1;
  std::vector<uint64_t> shape;
  for (uint32_t i = 0; i < rank; ++i) {
    const auto extent = reader.number<uint64_t>("the tensor list");
    // Bounds every product below 2^62.
    if (extent == 0 || extent > (1ULL << 40) || elements > (1ULL << 46) / extent) {
      reader.fail(tensor + " has an impossible shape");
    }
    elements *= extent;
    shape.push_back(extent);
    if (i == 0) row = extent;
  }
  const auto type_number = reader.number<uint32_t>("the tensor list");
  const auto type = static_cast<ggml_type>(type_number);
  if (type_number >= GGML_TYPE_COUNT || ggml_blck_size(type) == 0 || ggml_type_size(type) == 0) {
    reader.fail(tensor + " has the unknown type " + ticked(std::to_string(type_number)));
  }
  const auto block = static_cast<uint64_t>(ggml_blck_size(type));
  if (row % block != 0) reader.fail(tensor + " has rows that are not a multiple of its block size");
  const uint64_t bytes = elements / block * ggml_type_size(type);
  const auto begin = reader.number<uint64_t>("the tensor list");
  if (begin > reader.size() || bytes > reader.size() - begin) reader.fail(tensor + " lies outside the file");
  header.parameters += elements;
  header.tensor_bytes += bytes;
  header.shapes[name] = std::move(shape);
  if (rank > 1) parameters_of_type[ggml_type_name(type)] += elements;
  return {begin, begin + bytes};
}

void check_extents(const GgufReader &reader, std::vector<Extent> extents, uint64_t alignment) {
  const uint64_t data = (reader.offset() + alignment - 1) / alignment * alignment;
  std::sort(extents.begin(), extents.end(), [](const Extent &a, const Extent &b) { return a.begin < b.begin; });
  uint64_t free_from = 0;
  for (const Extent &extent : extents) {
    if (extent.begin % alignment != 0) reader.fail("a tensor is not aligned");
    if (extent.begin < free_from) reader.fail("tensors overlap");
    if (data > reader.size() || extent.end > reader.size() - data) {
      reader.fail("it is truncated: it has " + ticked(std::to_string(reader.size())) + " bytes and its tensors need " +
                  ticked(std::to_string(data + extents.back().end)));
    }
    free_from = extent.end;
  }
}

// What several files of one model share.
struct Seen {
  std::set<std::string> names;
  std::map<std::string, uint64_t> parameters_of_type;
};

// Adds one file to `header`; of a split model it is the first, the others only count tensors.
void read_part(const fs::path &path, GgufHeader &header, Seen &seen) {
  const MappedFile file(path);
  GgufReader reader(file.bytes(), path.string());
  header.file_bytes += reader.size();
  if (reader.size() < 4 || std::memcmp(reader.take(4, "the magic"), "GGUF", 4) != 0) {
    throw Error(SE_MODEL_CORRUPT, ticked(path.string()) + " is not a GGUF file: it does not begin with `GGUF`");
  }
  const auto version = reader.number<uint32_t>("the header");
  if (version != 2 && version != 3) {
    throw Error(SE_UNSUPPORTED, ticked(path.string()) + " has the GGUF version " + ticked(std::to_string(version)),
                "convert the model again with a current converter (versions 2 and 3, little-endian, are read)");
  }
  const auto tensor_count = reader.number<uint64_t>("the header");
  const auto entry_count = reader.number<uint64_t>("the header");
  if (tensor_count > kMostEntries || entry_count > kMostEntries) reader.fail("its counts are impossible");
  std::set<std::string> keys;
  for (uint64_t i = 0; i < entry_count; ++i) {
    const std::string key = reader.string("the metadata");
    if (key.empty() || key.size() > kLongestKey) reader.fail("a metadata key has an impossible length");
    if (!keys.insert(key).second) reader.fail("metadata key " + ticked(key.substr(0, 64)) + " is there twice");
    read_value(reader, header, key);
  }
  const uint64_t alignment = header.count("general.alignment").value_or(32);
  if (alignment == 0 || alignment > 65536 || (alignment & (alignment - 1)) != 0) reader.fail("its alignment is wrong");
  std::vector<Extent> extents;
  for (uint64_t i = 0; i < tensor_count; ++i) {
    extents.push_back(read_tensor(reader, header, seen.names, seen.parameters_of_type));
  }
  check_extents(reader, std::move(extents), alignment);
}

// llama.cpp finds the other parts of a split model by their names, beside the first.
void read_other_parts(const fs::path &path, GgufHeader &header, Seen &seen) {
  const uint64_t parts = header.count("split.count").value_or(1);
  if (parts < 2) return;
  const auto part_name = [parts](uint64_t number) {
    char ending[32];
    std::snprintf(ending, sizeof(ending), "-%05u-of-%05u.gguf", static_cast<unsigned>(number),
                  static_cast<unsigned>(parts));
    return std::string(ending);
  };
  const std::string name = path.filename().string(), ending = part_name(1);
  if (parts > kMostParts || header.count("split.no") != 0U || name.size() <= ending.size() || !name.ends_with(ending)) {
    throw Error(SE_MODEL_CORRUPT, ticked(path.string()) + " is not named as the first of its parts",
                "open the file that ends in `-00001-of-…gguf`, with the others beside it");
  }
  const std::string stem = name.substr(0, name.size() - ending.size());
  for (uint64_t number = 2; number <= parts; ++number) {
    const fs::path other = path.parent_path() / (stem + part_name(number));
    GgufHeader part;
    read_part(other, part, seen);
    if (part.count("split.no") != number - 1 || part.count("split.count") != parts) {
      throw Error(SE_MODEL_CORRUPT, ticked(other.string()) + " is not part " + std::to_string(number) + " of the model",
                  "download the model again");
    }
    header.parameters += part.parameters;
    header.tensor_bytes += part.tensor_bytes;
    header.file_bytes += part.file_bytes;
  }
}

void name_commonest_type(GgufHeader &header, const Seen &seen) {
  uint64_t most = 0;
  for (const auto &[type, parameters] : seen.parameters_of_type) {
    if (parameters > most) header.commonest_type = type;
    most = std::max(most, parameters);
  }
}

}  // namespace

std::string GgufHeader::string(const std::string &key) const {
  const auto found = strings.find(key);
  return found == strings.end() ? "" : found->second;
}

std::optional<uint64_t> GgufHeader::count(const std::string &key) const {
  const auto found = counts.find(key);
  if (found == counts.end()) return std::nullopt;
  return found->second;
}

std::optional<double> GgufHeader::number(const std::string &key) const {
  const auto found = reals.find(key);
  if (found != reals.end()) return found->second;
  const std::optional<uint64_t> whole = count(key);
  return whole ? std::optional(static_cast<double>(*whole)) : std::nullopt;
}

bool GgufHeader::has(const std::string &key) const {
  return counts.contains(key) || reals.contains(key) || strings.contains(key) || arrays.contains(key);
}

std::optional<uint64_t> GgufHeader::hyperparameter(const std::string &key) const {
  return count(architecture + "." + key);
}

uint64_t GgufHeader::vocabulary_size() const {
  const auto found = arrays.find("tokenizer.ggml.tokens");
  return found == arrays.end() ? 0 : found->second.count;
}

bool has_gguf_magic(const fs::path &path) {
  std::ifstream stream(path, std::ios::binary);
  char magic[4] = {};
  stream.read(magic, sizeof(magic));
  return stream && std::memcmp(magic, "GGUF", sizeof(magic)) == 0;
}

GgufHeader read_gguf_tensors(const fs::path &path) {
  GgufHeader header;
  Seen seen;
  read_part(path, header, seen);
  header.architecture = header.strings["general.architecture"];
  name_commonest_type(header, seen);
  return header;
}

GgufHeader read_gguf(const fs::path &path) {
  GgufHeader header;
  Seen seen;
  read_part(path, header, seen);
  header.architecture = header.strings["general.architecture"];
  if (header.architecture.empty()) {
    throw Error(SE_MODEL_CORRUPT, ticked(path.string()) + " is damaged: it names no architecture",
                "download or convert the model again");
  }
  if (llm_arch_from_string(header.architecture) == LLM_ARCH_UNKNOWN) {
    throw Error(SE_UNSUPPORTED, "the architecture " + ticked(header.architecture.substr(0, 64)) + " is not known",
                "a newer release of sphere-edge may know it");
  }
  read_other_parts(path, header, seen);
  name_commonest_type(header, seen);
  return header;
}

void check_gguf_vocabulary(const GgufHeader &header, const fs::path &path) {
  const auto refuse = [&](const std::string &problem) {
    throw Error(SE_MODEL_CORRUPT, ticked(path.string()) + " has no usable tokenizer: " + problem);
  };
  const uint64_t size = header.vocabulary_size();
  if (size == 0 || size > INT32_MAX) refuse("it lists no tokens");
  if (!header.strings.contains("tokenizer.ggml.model")) refuse("it does not name its type");
  const std::map<std::string, uint32_t> types = {
      {"tokens", STRING}, {"merges", STRING}, {"scores", F32}, {"token_type", I32}};
  for (const auto &[name, type] : types) {
    const auto found = header.arrays.find("tokenizer.ggml." + name);
    if (found == header.arrays.end()) continue;
    if (found->second.element_type != type) refuse("its list " + ticked(name) + " has the wrong type");
    if (name != "merges" && found->second.count != size) {
      refuse("its list " + ticked(name) + " has " + ticked(std::to_string(found->second.count)) + " entries for " +
             ticked(std::to_string(size)) + " tokens");
    }
  }
}

void check_gguf_model(const GgufHeader &header, const fs::path &path) {
  const auto refuse = [&](const std::string &problem) {
    throw Error(SE_MODEL_CORRUPT, ticked(path.string()) + " is not a usable model: " + problem);
  };
  if (header.parameters == 0) refuse("it holds no weights");
  for (const char *key : {"block_count", "embedding_length", "context_length"}) {
    const auto value = header.hyperparameter(key);
    if (!value) refuse("it has no " + ticked(key));
    if (*value == 0 || *value > (1U << 30)) refuse("its " + ticked(key) + " is impossible");
  }
  // Recurrent layers have no heads of attention; which layers of a hybrid have some is in a list.
  const llm_arch architecture = llm_arch_from_string(header.architecture);
  const bool may_have_none = llm_arch_is_recurrent(architecture) || llm_arch_is_hybrid(architecture);
  if (header.hyperparameter("attention.head_count") == 0U && !may_have_none) {
    refuse("its `attention.head_count` is impossible");
  }
}

}  // namespace se
