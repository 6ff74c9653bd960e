// A model of voice detection as whisper.cpp has them.
#include "formats/vad_file.h"

#include "target.h"

namespace {

const Target vad_target("vad", [](const std::string &data) { se::check_vad(file_with(data)); });

}  // namespace
