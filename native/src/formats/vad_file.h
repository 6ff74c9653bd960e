// A voice detector (Silero VAD) in whisper.cpp's format, checked in full before whisper.cpp, which trusts it, sees it.
#pragma once

#include <filesystem>

namespace se {

// MODEL_CORRUPT unless the file is a Silero VAD of 16 kHz (version 5 or 6) to the last byte; NOT_FOUND.
void check_vad(const std::filesystem::path &path);

}  // namespace se
