// SHA-256, for the few files that must be exactly what the runtime was made for.
#pragma once

#include <string>

namespace se {

// Of `content`, in lower-case hexadecimal. FIPS 180-4.
std::string sha256(const std::string &content);

}  // namespace se
