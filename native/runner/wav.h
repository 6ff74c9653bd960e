// Reads 16 kHz wav files; other formats and rates need a decoder library.
#pragma once

#include <string>
#include <vector>

namespace runner {

// The samples of `content`, RIFF/WAVE with 16-bit or float32 samples, mixed down to mono. Failure if it is not
// one, ends inside a header, or has another rate; `name` is for the message.
std::vector<float> read_wav(const std::string &content, const std::string &name);

}  // namespace runner
