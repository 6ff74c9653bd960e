// SHA-256 by its standard, https://csrc.nist.gov/pubs/fips/180-4/upd1/final.
#include "base/sha256.h"

#include <algorithm>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace se {
namespace {

constexpr std::array<uint32_t, 64> kRound = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

void mix_block(std::array<uint32_t, 8> &state, const uint8_t *block) {
  std::array<uint32_t, 64> word;
  for (size_t i = 0; i < 16; ++i) {
    const uint8_t *byte = block + 4 * i;
    word[i] = uint32_t{byte[0]} << 24 | uint32_t{byte[1]} << 16 | uint32_t{byte[2]} << 8 | byte[3];
  }
  for (size_t i = 16; i < 64; ++i) {
    const uint32_t low = std::rotr(word[i - 15], 7) ^ std::rotr(word[i - 15], 18) ^ word[i - 15] >> 3;
    const uint32_t high = std::rotr(word[i - 2], 17) ^ std::rotr(word[i - 2], 19) ^ word[i - 2] >> 10;
    word[i] = word[i - 16] + low + word[i - 7] + high;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (size_t i = 0; i < 64; ++i) {
    const uint32_t first =
        h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + kRound[i] + word[i];
    const uint32_t second = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + first;
    d = c;
    c = b;
    b = a;
    a = first + second;
  }
  const std::array<uint32_t, 8> mixed = {a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < state.size(); ++i) state[i] += mixed[i];
}

#if defined(__x86_64__)

bool has_sha_instructions() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kSha = 1U << 29, kSse41 = 1U << 19;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (b & kSha) == 0) return false;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & kSse41) != 0;
}

// Intel's instructions do two rounds at once on the state as the halves {a, b, e, f} and {c, d, g, h}; see "Intel SHA
// Extensions", 2013.
__attribute__((target("sha,sse4.1"))) void mix_with_instructions(std::array<uint32_t, 8> &state, const uint8_t *block,
                                                                 size_t count) {
  auto [a, b, c, d, e, f, g, h] = state;
  const auto packed = [](uint32_t high, uint32_t second, uint32_t third, uint32_t low)
                          __attribute__((target("sha,sse4.1"))) {
                            return _mm_set_epi32(static_cast<int>(high), static_cast<int>(second),
                                                 static_cast<int>(third), static_cast<int>(low));
                          };
  __m128i abef = packed(a, b, e, f), cdgh = packed(c, d, g, h);
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  for (; count > 0; --count, block += 64) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i words[4];
    for (size_t i = 0; i < 16; ++i) {
      __m128i &now = words[i % 4];
      if (i < 4) {
        now = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i *>(block) + i), big_endian);
      } else {
        const __m128i last = words[(i + 3) % 4];
        const __m128i seven_before = _mm_alignr_epi8(last, words[(i + 2) % 4], 4);
        now = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(now, words[(i + 1) % 4]), seven_before), last);
      }
      const __m128i rounds = _mm_loadu_si128(reinterpret_cast<const __m128i *>(kRound.data()) + i);
      const __m128i sum = _mm_add_epi32(now, rounds);
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  std::array<uint32_t, 4> first{}, second{};
  _mm_storeu_si128(reinterpret_cast<__m128i *>(first.data()), abef);
  _mm_storeu_si128(reinterpret_cast<__m128i *>(second.data()), cdgh);
  state = {first[3], first[2], second[3], second[2], first[1], first[0], second[1], second[0]};
}

#endif

}  // namespace

void Sha256::mix(const std::byte *blocks, size_t count) {
  const auto *bytes = reinterpret_cast<const uint8_t *>(blocks);
#if defined(__x86_64__)
  static const bool is_fast = has_sha_instructions();
  if (is_fast) {
    mix_with_instructions(state_, bytes, count);
    return;
  }
#endif
  for (size_t i = 0; i < count; ++i) mix_block(state_, bytes + 64 * i);
}

void Sha256::add(std::span<const std::byte> piece) {
  const size_t begun = bytes_ % 64;
  bytes_ += piece.size();
  if (begun > 0) {
    const size_t taken = std::min(piece.size(), 64 - begun);
    std::copy_n(piece.begin(), taken, block_.begin() + static_cast<std::ptrdiff_t>(begun));
    piece = piece.subspan(taken);
    if (begun + taken < 64) return;
    mix(block_.data(), 1);
  }
  mix(piece.data(), piece.size() / 64);
  const auto rest = piece.last(piece.size() % 64);
  std::copy(rest.begin(), rest.end(), block_.begin());
}

std::string Sha256::finish() {
  const uint64_t bits = bytes_ * 8;
  std::array<std::byte, 72> padding{std::byte{0x80}};
  const size_t count = 64 - (bytes_ + 8) % 64;
  for (size_t i = 0; i < 8; ++i) padding[count + i] = static_cast<std::byte>(bits >> (56 - 8 * i));
  add(std::span(padding).first(count + 8));
  std::string text;
  for (const uint32_t part : state_) {
    for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[part >> shift & 15];
  }
  return text;
}

std::string sha256(std::span<const std::byte> content) {
  Sha256 hash;
  hash.add(content);
  return hash.finish();
}

std::string sha256(const std::string &content) { return sha256(std::as_bytes(std::span(content))); }

}  // namespace se
