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

}  // namespace se
