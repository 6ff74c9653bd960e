// Compares a VAD model with the only architecture that whisper.cpp computes.
#include "formats/vad_file.h"

#include <array>
#include <map>
#include <string>

#include "base/file.h"
#include "formats/ggml_reader.h"

namespace se {
namespace {

using Shape = std::array<uint64_t, 3>;

// whisper.cpp, models/convert-silero-vad-to-ggml.py: the kind of model, then (after its version) these numbers.
constexpr const char *kKind = "silero-16k";
constexpr std::array<uint32_t, 19> kNumbers = {
    512, 64, 4, 129, 128, 3, 128, 64, 3, 64, 64, 3, 64, 128, 3, 128, 128, 128, 1,
};

const std::map<std::string, Shape> &shapes() {
  static const std::map<std::string, Shape> all = {
      {"_model.stft.forward_basis_buffer", {256, 1, 258}}, {"_model.encoder.0.reparam_conv.weight", {3, 129, 128}},
      {"_model.encoder.0.reparam_conv.bias", {128, 1, 1}}, {"_model.encoder.1.reparam_conv.weight", {3, 128, 64}},
      {"_model.encoder.1.reparam_conv.bias", {64, 1, 1}},  {"_model.encoder.2.reparam_conv.weight", {3, 64, 64}},
      {"_model.encoder.2.reparam_conv.bias", {64, 1, 1}},  {"_model.encoder.3.reparam_conv.weight", {3, 64, 128}},
      {"_model.encoder.3.reparam_conv.bias", {128, 1, 1}}, {"_model.decoder.rnn.weight_ih", {128, 512, 1}},
      {"_model.decoder.rnn.weight_hh", {128, 512, 1}},     {"_model.decoder.rnn.bias_ih", {512, 1, 1}},
      {"_model.decoder.rnn.bias_hh", {512, 1, 1}},         {"_model.decoder.decoder.2.weight", {128, 1, 1}},
      {"_model.decoder.decoder.2.bias", {1, 1, 1}},
  };
  return all;
}

bool is_half(const std::string &name) {
  return name.find(".reparam_conv.weight") != std::string::npos || name.find(".stft.") != std::string::npos ||
         name.find(".decoder.2.weight") != std::string::npos;
}

}  // namespace

void check_vad(const std::filesystem::path &path) {
  const MappedFile file(path);
  GgmlReader reader(file.bytes(), path.string());
  const uint32_t length = reader.word("the length of its kind", 1, 64);
  if (std::string(reader.take(length, "its kind"), length) != kKind) reader.fail("it is not a Silero VAD for 16 kHz");
  for (int i = 0; i < 3; ++i) reader.word("its version", i == 0 ? 5 : 0, i == 0 ? 6 : 1 << 16);
  for (const uint32_t number : kNumbers) reader.word("a dimension", number, number);
  std::map<std::string, Shape> missing = shapes();
  while (!reader.at_end()) {
    const GgmlTensor tensor = reader.tensor();
    const auto found = missing.find(tensor.name);
    if (found == missing.end() || found->second != tensor.shape ||
        tensor.type != (is_half(tensor.name) ? GGML_TYPE_F16 : GGML_TYPE_F32)) {
      reader.fail("a Silero VAD has no such tensor: `" + tensor.name + "`");
    }
    missing.erase(found);
  }
  if (!missing.empty()) reader.fail("it lacks the tensor `" + missing.begin()->first + "`");
}

}  // namespace se
