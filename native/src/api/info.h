// What this machine offers and what a model file holds, as JSON.
#pragma once

#include <filesystem>
#include <string>

namespace se {

std::string system_info_json();

// Loads the drivers.
std::string gpu_info_json();

// A bundle folder or a .gguf file, read without its weights.
std::string model_info_json(const std::filesystem::path &path);

// Whether this runtime paints: told by image_calls.cpp or by image_absent.cpp. No macro, so that all other files are
// the same with and without images and are compiled once for both.
bool images_are_built_in();

}  // namespace se
