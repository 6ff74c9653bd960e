// Reads whisper.cpp's files without trusting any length in them.
#include "formats/whisper_file.h"

#include <ggml.h>

#include <fstream>
#include <map>
#include <set>

#include "base/file.h"
#include "base/status.h"
#include "formats/ggml_reader.h"

namespace se {
namespace fs = std::filesystem;
namespace {

constexpr uint32_t kFourierBins = 201;
// Seconds of audio in a window times 50 positions, and the longest text of all Whisper models: whisper.cpp assumes
// both.
constexpr uint32_t kAudioContext = 1500;
constexpr uint32_t kTextContext = 448;
constexpr uint32_t kLongestWord = 1 << 10;
// The file type's number holds the quantization version in its thousands.
constexpr uint32_t kTypeFactor = 1000;

void read_dimensions(GgmlReader &reader, WhisperHeader &header) {
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
    reader.fail("the width is not a multiple of the heads");
  }
  // ggml's FTYPE: f32, f16, then the quantized ones that whisper.cpp can write.
  static const std::set<uint32_t> types = {0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 13, 14};
  const uint32_t type = reader.word("the file type");
  if (!types.contains(type % kTypeFactor) || type / kTypeFactor > 2) {
    reader.fail("the file type cannot be " + ticked(std::to_string(static_cast<int32_t>(type))));
  }
}

void read_vocabulary(GgmlReader &reader, const WhisperHeader &header) {
  const uint32_t bins = reader.word("the number of mel filters", header.mel_bins, header.mel_bins);
  const uint32_t fourier = reader.word("the width of the mel filters", kFourierBins, kFourierBins);
  reader.take(uint64_t{bins} * fourier * sizeof(float), "the mel filters");
  const uint32_t words = reader.word("the number of words", 1, header.vocab_size);
  for (uint32_t i = 0; i < words; ++i) {
    reader.take(reader.word("the length of a word", 0, kLongestWord), "the vocabulary");
  }
}

void read_tensors(GgmlReader &reader, WhisperHeader &header) {
  std::set<std::string> names;
  std::map<ggml_type, uint64_t> parameters;
  while (!reader.at_end()) {
    const GgmlTensor tensor = reader.tensor();
    // whisper.cpp only counts them: a duplicate would hide a missing one.
    if (!names.insert(tensor.name).second) reader.fail("the tensor " + ticked(tensor.name) + " is there twice");
    if (tensor.axes == 0) reader.fail("the tensor " + ticked(tensor.name) + " has no axes");
    header.parameters += tensor.elements;
    header.tensor_bytes += tensor.bytes;
    if (tensor.axes > 1) parameters[tensor.type] += tensor.elements;
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
  GgmlReader reader(file.bytes(), path.string());
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
  return stream.read(reinterpret_cast<char *>(&magic), sizeof(magic)) && magic == GgmlReader::kMagic;
}

}  // namespace se
