// A VAD model (Silero) in whisper.cpp's format, fully checked before whisper.cpp, which trusts it, reads it.
#pragma once

#include <filesystem>

namespace se {

// MODEL_CORRUPT unless the file is a Silero VAD for 16 kHz (version 5 or 6) to the last byte; NOT_FOUND.
void check_vad(const std::filesystem::path &path);

}  // namespace se
