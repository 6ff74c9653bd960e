// Reads whisper.cpp's files without trusting a single length in them.
#include "whisper_file.h"

#include <ggml.h>

#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <span>

#include "file.h"
#include "status.h"

namespace se {
namespace fs = std::filesystem;
namespace {

static_assert(std::endian::native == std::endian::little, "the file format is little-endian");

constexpr uint32_t kMagic = 0x67676d6c;
constexpr uint32_t kFourierBins = 201;
// Seconds of audio in a window times 50 positions, and the longest text of all Whisper models: whisper.cpp takes both
// for granted.
constexpr uint32_t kAudioContext = 1500;
constexpr uint32_t kTextContext = 448;
constexpr uint32_t kLongestWord = 1 << 10;
constexpr uint32_t kLongestName = 127;
// The file type's number holds the quantization version in its thousands.
constexpr uint32_t kTypeFactor = 1000;

// A cursor over the mapped file that cannot leave it.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {}

  [[noreturn]] void fail(const std::string &problem) const {
    throw Error(SE_MODEL_CORRUPT, ticked(name_) + " is damaged: " + problem, "download or convert the model again");
  }

  const char *take(uint64_t count, const char *what) {
    if (count > bytes_.size() - offset_) fail(std::string("it ends inside ") + what);
    const std::byte *begin = bytes_.data() + offset_;
    offset_ += count;
    return reinterpret_cast<const char *>(begin);
  }

  uint32_t word(const char *what) {
    uint32_t value;
    std::memcpy(&value, take(sizeof(value), what), sizeof(value));
    return value;
  }

  uint32_t word(const char *what, uint32_t least, uint32_t most) {
    const uint32_t value = word(what);
    if (value < least || value > most) {
      fail(std::string(what) + " cannot be " + ticked(std::to_string(static_cast<int32_t>(value))));
    }
    return value;
  }

  bool at_end() const { return offset_ == bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  std::string name_;
  uint64_t offset_ = 0;
};

void read_dimensions(Reader &reader, WhisperHeader &header) {
  header.vocab_size = reader.word("the vocabulary size", 51864, 51866);
  header.audio_context = reader.word("the audio context", kAudioContext, kAudioContext);
  header.audio_width = reader.word("the encoder's width", 1, 1 << 13);
  header.audio_heads = reader.word("the encoder's heads", 1, header.audio_width);
  header.audio_layers = reader.word("the encoder's layers", 1, 256);
  header.text_context = reader.word("the text context", kTextContext, kTextContext);
  header.text_width = reader.word("the decoder's width", header.audio_width, header.audio_width);
  header.text_heads = reader.word("the decoder's heads", 1, header.text_width);
  header.text_layers = reader.word("the decoder's layers", 1, 256);
  header.mel_bins = reader.word("the number of mel bins", 1, 256);
  if (header.audio_width % header.audio_heads != 0 || header.text_width % header.text_heads != 0) {
    reader.fail("the width is no multiple of the heads");
  }
  // ggml's FTYPE: f32, f16, then the quantized ones that whisper.cpp can write.
  static const std::set<uint32_t> types = {0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 13, 14};
  const uint32_t type = reader.word("the file type");
  if (!types.contains(type % kTypeFactor) || type / kTypeFactor > 2) {
    reader.fail("the file type cannot be " + ticked(std::to_string(static_cast<int32_t>(type))));
  }
}

void read_vocabulary(Reader &reader, const WhisperHeader &header) {
  const uint32_t bins = reader.word("the number of mel filters", header.mel_bins, header.mel_bins);
  const uint32_t fourier = reader.word("the width of the mel filters", kFourierBins, kFourierBins);
  reader.take(uint64_t{bins} * fourier * sizeof(float), "the mel filters");
  const uint32_t words = reader.word("the number of words", 1, header.vocab_size);
  for (uint32_t i = 0; i < words; ++i) {
    reader.take(reader.word("the length of a word", 0, kLongestWord), "the vocabulary");
  }
}

struct Tensor {
  std::string name;
  ggml_type type;
  uint64_t elements;
  uint64_t bytes;
  bool is_matrix;
};

Tensor read_tensor(Reader &reader) {
  const uint32_t axes = reader.word("the axes of a tensor", 1, 3);
  const uint32_t length = reader.word("the length of a tensor's name", 1, kLongestName);
  const uint32_t type = reader.word("the type of a tensor", 0, GGML_TYPE_COUNT - 1);
  std::array<uint64_t, 3> shape = {1, 1, 1};
  for (uint32_t i = 0; i < axes; ++i) shape[i] = reader.word("an axis of a tensor", 1, 1 << 24);
  Tensor tensor;
  tensor.name.assign(reader.take(length, "the name of a tensor"), length);
  tensor.type = static_cast<ggml_type>(type);
  // whisper.cpp counts in 32 bits.
  tensor.elements = shape[0] * shape[1];
  if (tensor.elements > INT32_MAX || (tensor.elements *= shape[2]) > INT32_MAX) {
    reader.fail("the tensor " + ticked(tensor.name) + " is too large");
  }
  const auto block = static_cast<uint64_t>(ggml_blck_size(tensor.type));
  // Types that ggml has given up have no size.
  if (block == 0 || ggml_type_size(tensor.type) == 0 || shape[0] % block != 0) {
    reader.fail("the tensor " + ticked(tensor.name) + " cannot have the type " + ticked(std::to_string(type)));
  }
  tensor.bytes = tensor.elements / block * ggml_type_size(tensor.type);
  tensor.is_matrix = axes > 1;
  reader.take(tensor.bytes, "a tensor");
  return tensor;
}

void read_tensors(Reader &reader, WhisperHeader &header) {
  std::set<std::string> names;
  std::map<ggml_type, uint64_t> parameters;
  while (!reader.at_end()) {
    const Tensor tensor = read_tensor(reader);
    // whisper.cpp only counts them: one that comes twice would hide one that is missing.
    if (!names.insert(tensor.name).second) reader.fail("the tensor " + ticked(tensor.name) + " is there twice");
    header.parameters += tensor.elements;
    header.tensor_bytes += tensor.bytes;
    if (tensor.is_matrix) parameters[tensor.type] += tensor.elements;
  }
  const uint64_t expected = 11 + 15 * uint64_t{header.audio_layers} + 24 * uint64_t{header.text_layers};
  if (!names.empty() && names.size() != expected) {
    reader.fail("it holds " + std::to_string(names.size()) + " tensors instead of " + std::to_string(expected));
  }
  uint64_t most = 0;
  for (const auto &[type, count] : parameters) {
    if (count > most) header.commonest_type = ggml_type_name(type);
    most = std::max(most, count);
  }
}

}  // namespace

WhisperHeader read_whisper(const fs::path &path) {
  const MappedFile file(path);
  Reader reader(file.bytes(), path.string());
  if (reader.word("its magic number") != kMagic) reader.fail("it does not begin as whisper.cpp's files do");
  WhisperHeader header;
  header.file_bytes = file.bytes().size();
  read_dimensions(reader, header);
  read_vocabulary(reader, header);
  read_tensors(reader, header);
  return header;
}

bool has_whisper_magic(const fs::path &path) {
  std::ifstream stream(path, std::ios::binary);
  uint32_t magic = 0;
  return stream.read(reinterpret_cast<char *>(&magic), sizeof(magic)) && magic == kMagic;
}

}  // namespace se
