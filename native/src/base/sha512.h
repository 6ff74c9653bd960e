// SHA-512, which is a part of Ed25519.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace se {

// FIPS 180-4.
std::array<uint8_t, 64> sha512(std::string_view content);

}  // namespace se
