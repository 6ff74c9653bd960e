// Base64, for keys and signatures.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace se {

// The bytes of RFC 4648 base64 with padding, written in the one way that there is; nullopt for anything else.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace se
