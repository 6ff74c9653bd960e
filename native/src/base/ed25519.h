// Ed25519 signatures (RFC 8032), which are only checked here: the arithmetic on the curve is Monocypher's.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace se {

constexpr size_t kSignatureBytes = 64;

struct PublicKey {
  std::array<uint8_t, 32> bytes;

  // The SHA-256 of its DER form, in hexadecimal.
  std::string id() const;
};

// The key in a PEM file's text, or in the one line of base64 in it; nullopt for anything else.
std::optional<PublicKey> parse_public_key(std::string_view text);

// Whether it is a point of order 8 or less: then anybody can sign with it.
bool is_of_small_order(const PublicKey &key);

// Whether `signature`, of kSignatureBytes, is the key's for `message`.
bool has_signed(const PublicKey &key, std::string_view message, std::string_view signature);

}  // namespace se
