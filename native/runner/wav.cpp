// RIFF/WAVE as of Microsoft's "Multimedia Programming Interface and Data Specifications 1.0", without trust.
#include "wav.h"

#include <sphere_edge.h>

#include <cstdint>
#include <cstring>

#include "model.h"

namespace runner {
namespace {

constexpr uint16_t kInteger = 1;
constexpr uint16_t kFloat = 3;
constexpr uint16_t kExtensible = 0xFFFE;
constexpr size_t kChunkHeader = 8;

struct Format {
  uint16_t kind = 0;
  uint16_t channels = 0;
  uint32_t rate = 0;
  uint16_t bits = 0;
};

template <typename T>
T at(const std::string &content, size_t offset) {
  T value;
  std::memcpy(&value, content.data() + offset, sizeof(T));
  return value;
}

Format read_format(const std::string &content, size_t begin, size_t bytes, const std::string &name) {
  if (bytes < 16) throw Failure{SE_INVALID_ARGUMENT, "`" + name + "` has a damaged wav header", ""};
  Format format = {at<uint16_t>(content, begin), at<uint16_t>(content, begin + 2), at<uint32_t>(content, begin + 4),
                   at<uint16_t>(content, begin + 14)};
  // The kind proper begins the identifier at byte 24.
  if (format.kind == kExtensible && bytes >= 26) format.kind = at<uint16_t>(content, begin + 24);
  const bool known = (format.kind == kInteger && format.bits == 16) || (format.kind == kFloat && format.bits == 32);
  if (!known || format.channels == 0 || format.channels > 64) {
    throw Failure{SE_UNSUPPORTED, "`" + name + "` holds neither 16-bit nor 32-bit float samples",
                  "convert it: ffmpeg -i FILE -ar 16000 -ac 1 out.wav"};
  }
  if (format.rate != SE_AUDIO_SAMPLE_RATE) {
    throw Failure{SE_UNSUPPORTED, "`" + name + "` has " + std::to_string(format.rate) + " samples a second, not 16000",
                  "convert it: ffmpeg -i FILE -ar 16000 -ac 1 out.wav"};
  }
  return format;
}

std::vector<float> mono(const std::string &content, size_t begin, size_t bytes, const Format &format) {
  const size_t sample_bytes = format.bits / 8;
  const size_t frames = bytes / (sample_bytes * format.channels);
  std::vector<float> samples(frames);
  for (size_t frame = 0; frame < frames; ++frame) {
    float sum = 0;
    for (size_t channel = 0; channel < format.channels; ++channel) {
      const size_t offset = begin + (frame * format.channels + channel) * sample_bytes;
      sum += format.kind == kFloat ? at<float>(content, offset)
                                   : static_cast<float>(at<int16_t>(content, offset)) / 32768.0F;
    }
    samples[frame] = sum / static_cast<float>(format.channels);
  }
  return samples;
}

}  // namespace

std::vector<float> read_wav(const std::string &content, const std::string &name) {
  if (content.size() < 12 || content.compare(0, 4, "RIFF") != 0 || content.compare(8, 4, "WAVE") != 0) {
    throw Failure{SE_INVALID_ARGUMENT, "`" + name + "` is not a wav file",
                  "convert it: ffmpeg -i FILE -ar 16000 -ac 1 out.wav"};
  }
  Format format;
  for (size_t offset = 12; offset + kChunkHeader <= content.size();) {
    const std::string kind = content.substr(offset, 4);
    const size_t begin = offset + kChunkHeader;
    // Recorders that were cut off leave lengths beyond the end.
    const size_t bytes = std::min<size_t>(at<uint32_t>(content, offset + 4), content.size() - begin);
    if (kind == "fmt ") format = read_format(content, begin, bytes, name);
    if (kind == "data") {
      if (format.channels == 0) break;
      return mono(content, begin, bytes, format);
    }
    // Chunks begin at even offsets.
    offset = begin + bytes + bytes % 2;
  }
  throw Failure{SE_INVALID_ARGUMENT, "`" + name + "` has a damaged wav header", ""};
}

}  // namespace runner
