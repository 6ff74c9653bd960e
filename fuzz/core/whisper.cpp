// A Whisper model as whisper.cpp has them.
#include "formats/whisper_file.h"

#include "target.h"

namespace {

const Target whisper_target("whisper", [](const std::string &data) { se::read_whisper(file_with(data)); });

}  // namespace
