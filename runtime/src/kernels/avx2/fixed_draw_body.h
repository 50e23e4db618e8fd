// Draws weights on the 8-bit grid, 32 at once: a table for each nibble, looked up by vpshufb.
#ifndef RELUFLOW_KERNELS_AVX2_FIXED_DRAW_BODY_H
#define RELUFLOW_KERNELS_AVX2_FIXED_DRAW_BODY_H

#include <immintrin.h>

#include "kernels/fixed_args.h"

namespace reluflow {

namespace {

/// Codes of 32 weights, and where they are negative.
struct Codes32 {
  __m256i nibble;
  __m256i p;
  __m256i negative;

  Codes32(const uint8_t* codes, const uint8_t* signs) {
    const __m256i code = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
    const __m256i low = _mm256_set1_epi8(15);
    p = _mm256_and_si256(code, low);
    nibble = _mm256_and_si256(_mm256_srli_epi16(code, 4), low);
    int32_t bits;
    __builtin_memcpy(&bits, signs, sizeof bits);
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                            2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201ull));
    const __m256i sign = _mm256_shuffle_epi8(_mm256_set1_epi32(bits), spread);
    negative = _mm256_cmpeq_epi8(_mm256_and_si256(sign, bit), bit);
  }

  /// Entries of a table of 256 bytes whose nibble is at least `from`, else 0.
  __m256i look_up(const uint8_t* table, int from) const {
    __m256i found = _mm256_setzero_si256();
    for (int h = from; h < 16; ++h) {
      const __m256i row = _mm256_broadcastsi128_si256(
          _mm_load_si128(reinterpret_cast<const __m128i*>(table + 16 * h)));
      const __m256i here = _mm256_cmpeq_epi8(nibble, _mm256_set1_epi8(static_cast<char>(h)));
      found = _mm256_or_si256(found, _mm256_and_si256(here, _mm256_shuffle_epi8(row, p)));
    }
    return found;
  }

  /// Magnitudes with their signs.
  __m256i with_sign(__m256i w) const {
    return _mm256_sub_epi8(_mm256_xor_si256(w, negative), negative);
  }
};

/// The magnitude is the larger one where the carry wraps: docs/psb-ops.md, "The 8-bit grid".
inline __m256i draw32(const FixedTables& t, const Codes32& codes, __m256i* carry) {
  const __m256i chance = codes.look_up(t.chance, 0);
  const __m256i next = _mm256_add_epi8(*carry, codes.with_sign(chance));
  // A sum wrapped where it is below the chance, a difference where what it was taken from is.
  const __m256i decides = _mm256_blendv_epi8(next, *carry, codes.negative);
  const __m256i stays = _mm256_cmpeq_epi8(_mm256_max_epu8(decides, chance), decides);
  *carry = next;
  constexpr int kLarge = kFixedSmall / 16;
  const __m256i low = codes.look_up(t.low, kLarge);
  const __m256i high = _mm256_max_epu8(codes.look_up(t.high, kLarge), _mm256_set1_epi8(1));
  return codes.with_sign(_mm256_blendv_epi8(high, low, stays));
}

[[maybe_unused]] void avx2_fixed_draw(const FixedDrawArgs& d) {
  const auto* signs = reinterpret_cast<const uint8_t*>(d.signs);
  const int64_t row = int64_t{64} * d.vectors;
  for (int64_t i = 0; i < row * d.quads; i += 32) {
    const Codes32 codes(d.codes + i, signs + i / 8);
    auto* out = reinterpret_cast<__m256i*>(d.out + i);
    if (!d.tables) {
      _mm256_storeu_si256(out, codes.with_sign(codes.look_up(d.nearest, 0)));
      continue;
    }
    auto* carry = reinterpret_cast<__m256i*>(d.carry + i % row);
    __m256i r = _mm256_loadu_si256(carry);
    _mm256_storeu_si256(out, draw32(*d.tables, codes, &r));
    _mm256_storeu_si256(carry, r);
  }
}

}  // namespace

}  // namespace reluflow

#endif
