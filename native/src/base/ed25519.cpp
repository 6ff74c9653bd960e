// Checks Ed25519 signatures with Monocypher's curve and SHA-512, as its optional monocypher-ed25519.c does.
#include "base/ed25519.h"

#include <monocypher.h>

#include <algorithm>

#include "base/base64.h"
#include "base/sha256.h"
#include "base/sha512.h"

namespace se {
namespace {

// SubjectPublicKeyInfo of an Ed25519 key, before its 32 bytes (RFC 8410, section 4).
constexpr std::string_view kDerHead("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", 12);
constexpr std::string_view kPemBegin = "-----BEGIN PUBLIC KEY-----", kPemEnd = "-----END PUBLIC KEY-----";

using Point = std::array<uint8_t, 32>;

// The points of order 1, 2, 4 and 8, in each way to write them, without the sign bit: the list of libsodium's
// ed25519_ref10.c.
constexpr Point kZero = {0}, kOne = {1};
constexpr Point kEight = {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
                          0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
                          0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05};
constexpr Point kOtherEight = {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
                               0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
                               0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a};

// 2^255 - 19 and its neighbours.
constexpr Point near_prime(uint8_t lowest) {
  Point point{};
  for (uint8_t &byte : point) byte = 0xFF;
  point.front() = lowest;
  point.back() = 0x7F;
  return point;
}

std::string_view without_blanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string_view as_text(const Point &bytes) { return {reinterpret_cast<const char *>(bytes.data()), bytes.size()}; }

}  // namespace

std::string PublicKey::id() const { return sha256(std::string(kDerHead) + std::string(as_text(bytes))); }

std::optional<PublicKey> parse_public_key(std::string_view text) {
  text = without_blanks(text);
  if (text.starts_with(kPemBegin) && text.ends_with(kPemEnd) && text.size() > kPemBegin.size() + kPemEnd.size()) {
    text.remove_prefix(kPemBegin.size());
    text.remove_suffix(kPemEnd.size());
    text = without_blanks(text);
  }
  const std::optional<std::string> der = decode_base64(text);
  PublicKey key{};
  if (!der || !der->starts_with(kDerHead) || der->size() != kDerHead.size() + key.bytes.size()) return std::nullopt;
  std::copy(der->begin() + kDerHead.size(), der->end(), key.bytes.begin());
  return key;
}

bool is_of_small_order(const PublicKey &key) {
  Point point = key.bytes;
  point.back() &= 0x7F;
  constexpr std::array<Point, 7> kSmall = {
      kZero, kOne, kEight, kOtherEight, near_prime(0xEC), near_prime(0xED), near_prime(0xEE)};
  return std::find(kSmall.begin(), kSmall.end(), point) != kSmall.end();
}

bool has_signed(const PublicKey &key, std::string_view message, std::string_view signature) {
  if (signature.size() != kSignatureBytes) return false;
  std::string hashed(signature.substr(0, 32));
  hashed += as_text(key.bytes);
  hashed += message;
  const auto hash = sha512(hashed);
  std::array<uint8_t, 32> reduced{};
  crypto_eddsa_reduce(reduced.data(), hash.data());
  const auto *bytes = reinterpret_cast<const uint8_t *>(signature.data());
  return crypto_eddsa_check_equation(bytes, key.bytes.data(), reduced.data()) == 0;
}

}  // namespace se
