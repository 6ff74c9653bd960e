// A Whisper model as whisper.cpp has them.
#include "formats/whisper_file.h"

#include "target.h"

void read(const std::string &data) { se::read_whisper(file_with(data)); }
