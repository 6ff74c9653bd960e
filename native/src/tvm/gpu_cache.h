// Where kernels that a driver has compiled are kept between starts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace se {

// Empty: the user's cache folder, if the system names one.
void set_gpu_cache_folder(const std::filesystem::path &folder);

// The folder for `kind` in it; empty if there is none.
std::filesystem::path gpu_cache_folder(const std::string &kind);

// FNV-1a (Fowler, Noll, Vo), 64 bits: tells files apart and finds damage; nobody but the user writes there.
uint64_t fnv1a(const std::string &text);
std::string hexadecimal(uint64_t number);

}  // namespace se
