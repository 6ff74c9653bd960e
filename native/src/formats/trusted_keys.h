// Whose signatures count: trusted keys, and the signatures of a bundle (docs/signing.md).
#pragma once

#include <filesystem>
#include <string>

namespace se {

// UNTRUSTED unless one of the trusted keys in `trusted_keys`, the text of such a file, has signed the bundle at
// `path`; MODEL_CORRUPT if a file is not the signed one: all are hashed. INVALID_ARGUMENT: no such text.
void require_trusted(const std::filesystem::path &path, const std::string &trusted_keys,
                     const std::filesystem::path &code_folder = {});

}  // namespace se
