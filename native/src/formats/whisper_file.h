// A whisper.cpp model file, fully checked before whisper.cpp, which trusts it, reads the file.
//
// Format: https://github.com/ggml-org/whisper.cpp/blob/master/models/convert-pt-to-ggml.py (little-endian).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace se {

struct WhisperHeader {
  uint32_t vocab_size = 0;
  uint32_t audio_context = 0;
  uint32_t audio_width = 0;
  uint32_t audio_heads = 0;
  uint32_t audio_layers = 0;
  uint32_t text_context = 0;
  uint32_t text_width = 0;
  uint32_t text_heads = 0;
  uint32_t text_layers = 0;
  uint32_t mel_bins = 0;
  std::string commonest_type;  // of the matrices, by parameters, e.g. "f16"; empty without tensors
  uint64_t parameters = 0;
  uint64_t tensor_bytes = 0;
  uint64_t file_bytes = 0;

  bool multilingual() const { return vocab_size >= 51865; }
  uint32_t languages() const { return multilingual() ? vocab_size - 51766 : 1; }
};

// Reads and checks the file. MODEL_CORRUPT: wrong magic, truncated, dimensions that no Whisper model has, tensors that
// are damaged, duplicate or missing; NOT_FOUND. A file without any tensor passes, as whisper.cpp's own test files.
WhisperHeader read_whisper(const std::filesystem::path &path);

// Whether the file has whisper.cpp's magic number.
bool has_whisper_magic(const std::filesystem::path &path);

}  // namespace se
