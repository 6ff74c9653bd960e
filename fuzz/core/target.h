// What a target is: a name, and a function that hands bytes to one reader of the native core.
#pragma once

#include <filesystem>
#include <string>

class Target {
 public:
  // `read` may throw se::Error of any status but INTERNAL, and nothing else.
  Target(const std::string &name, void (*read)(const std::string &data));
};

// The path of a file in memory with these bytes, until the next call.
std::filesystem::path file_with(const std::string &data);
