// This machine and the contents of model files, as JSON.
#pragma once

#include <filesystem>
#include <string>

namespace se {

std::string system_info_json();

// Loads the drivers.
std::string gpu_info_json();

// A bundle folder or a .gguf file, read without its weights.
std::string model_info_json(const std::filesystem::path &path);

// Whether this runtime has the manager: defined by audio_calls.cpp or audio_absent.cpp, image_calls.cpp or
// image_absent.cpp. Not macros, so that all other files are the same with and without it and are compiled once.
bool audio_is_built_in();
bool images_are_built_in();

}  // namespace se
