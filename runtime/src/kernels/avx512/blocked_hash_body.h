// Fingerprints of blocked tensors with AVX-512 and GFNI: a key is a linear map over GF(2) of the
// bits of its pattern, and one instruction applies 8 x 8 bits of it to 64 samples' bits.
//
// In an unnamed namespace, as all bodies: nothing compiled for AVX-512 may be linked in elsewhere.
#ifndef RELUFLOW_KERNELS_AVX512_BLOCKED_HASH_BODY_H
#define RELUFLOW_KERNELS_AVX512_BLOCKED_HASH_BODY_H

#include <immintrin.h>

#include <cstdint>

#include "kernels/avx2/blocked_hash_body.h"
#include "kernels/avx512/rows_body.h"
#include "kernels/kernels.h"
#include "kernels/portable/blocked_hash_body.h"

namespace reluflow {

namespace {

#define RELUFLOW_GFNI __attribute__((target("gfni,avx512vbmi")))

inline bool has_gfni() {
  return __builtin_cpu_supports("gfni") && __builtin_cpu_supports("avx512vbmi");
}

/// The map of 8 units: a matrix for each of the 16 bytes of a key.
struct KeyMap {
  __m512i low;
  __m512i high;
};

/// The map of 8 units from their words, `[8][16]` bytes.
RELUFLOW_GFNI inline KeyMap key_map(const uint64_t* words) {
  alignas(64) uint8_t order[2][64];
  for (int j = 0; j < 16; ++j) {
    for (int m = 0; m < 8; ++m) {
      order[j / 8][j % 8 * 8 + m] = static_cast<uint8_t>((7 - m) * 16 + j);
    }
  }
  const __m512i a = _mm512_loadu_si512(words);
  const __m512i b = _mm512_loadu_si512(words + 8);
  // An affine map of the unit vectors turns a matrix of 8 x 8 bits.
  const __m512i units = _mm512_set1_epi64(0x0102040810204080);
  const __m512i low = _mm512_permutex2var_epi8(a, _mm512_load_si512(order[0]), b);
  const __m512i high = _mm512_permutex2var_epi8(a, _mm512_load_si512(order[1]), b);
  return {_mm512_gf2p8affine_epi64_epi8(units, low, 0),
          _mm512_gf2p8affine_epi64_epi8(units, high, 0)};
}

/// The bits of 16 units of every sample, their counts; returns which lanes saw non-finite values.
RELUFLOW_GFNI inline __mmask16 pack_sixteen(const BlockedHashArgs& h, const float* x,
                                            uint16_t* bits, int32_t* active) {
  const __m512 threshold = _mm512_set1_ps(h.threshold);
  const __m512i one = _mm512_set1_epi32(1);
  const __m512 zero = _mm512_setzero_ps();
  __m512i counts = _mm512_setzero_si512();
  __m512 spoiled[4] = {zero, zero, zero, zero};
  int64_t s = 0;
  for (; s + 4 <= h.samples; s += 4) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const __m512 v = _mm512_loadu_ps(x + 16 * (s + i));
      const __mmask16 on = _mm512_cmp_ps_mask(v, threshold, _CMP_GT_OQ);
      bits[s + i] = static_cast<uint16_t>(on);
      counts = _mm512_mask_add_epi32(counts, on, counts, one);
      // Zero times a number that is not finite is NaN, and stays it.
      spoiled[i] = _mm512_fmadd_ps(v, zero, spoiled[i]);
    }
  }
  for (; s < h.samples; ++s) {
    const __m512 v = _mm512_loadu_ps(x + 16 * s);
    const __mmask16 on = _mm512_cmp_ps_mask(v, threshold, _CMP_GT_OQ);
    bits[s] = static_cast<uint16_t>(on);
    counts = _mm512_mask_add_epi32(counts, on, counts, one);
    spoiled[0] = _mm512_fmadd_ps(v, zero, spoiled[0]);
  }
  _mm512_storeu_si512(active, counts);
  const __m512 all =
      _mm512_add_ps(_mm512_add_ps(spoiled[0], spoiled[1]), _mm512_add_ps(spoiled[2], spoiled[3]));
  return _mm512_cmp_ps_mask(all, all, _CMP_UNORD_Q);
}

/// Adds 16 units to the keys of all samples; 8 keys are 16 rows of 8 bytes.
RELUFLOW_GFNI inline void add_sixteen(const uint64_t* words, const uint16_t* bits, int64_t samples,
                                      __m512i* keys) {
  const KeyMap first = key_map(words);
  const KeyMap second = key_map(words + 16);
  const __m128i even_odd = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
  for (int64_t s = 0; s < samples; s += 8) {
    const __m128i raw = _mm_load_si128(reinterpret_cast<const __m128i*>(bits + s));
    const __m128i split = _mm_shuffle_epi8(raw, even_odd);
    const __m512i a = _mm512_broadcastq_epi64(split);
    const __m512i b = _mm512_broadcastq_epi64(_mm_unpackhi_epi64(split, split));
    __m512i* key = keys + s / 4;
    key[0] = _mm512_ternarylogic_epi64(key[0], _mm512_gf2p8affine_epi64_epi8(a, first.low, 0),
                                       _mm512_gf2p8affine_epi64_epi8(b, second.low, 0), 0x96);
    key[1] = _mm512_ternarylogic_epi64(key[1], _mm512_gf2p8affine_epi64_epi8(a, first.high, 0),
                                       _mm512_gf2p8affine_epi64_epi8(b, second.high, 0), 0x96);
  }
}

/// Which halves of 4 keys to store when so many are left.
inline __mmask8 halves_of(int64_t keys) {
  return static_cast<__mmask8>(keys < 4 ? (1 << 2 * keys) - 1 : 255);
}

/// Turns rows of bytes into keys.
RELUFLOW_GFNI inline void store_blocked_keys(const __m512i* rows, int64_t samples, uint64_t* keys) {
  alignas(64) uint8_t order[2][64];
  for (int i = 0; i < 8; ++i) {
    for (int j = 0; j < 16; ++j) {
      order[i / 4][i % 4 * 16 + j] = static_cast<uint8_t>(j * 8 + i);
    }
  }
  const __m512i low = _mm512_load_si512(order[0]);
  const __m512i high = _mm512_load_si512(order[1]);
  for (int64_t s = 0; s < samples; s += 8) {
    const __m512i a = rows[s / 4];
    const __m512i b = rows[s / 4 + 1];
    const int64_t left = samples - s;
    _mm512_mask_storeu_epi64(keys + 2 * s, halves_of(left), _mm512_permutex2var_epi8(a, low, b));
    if (left <= 4) break;
    _mm512_mask_storeu_epi64(keys + 2 * s + 8, halves_of(left - 4),
                             _mm512_permutex2var_epi8(a, high, b));
  }
}

RELUFLOW_GFNI void gfni_blocked_hash(BlockedHashArgs& h) {
  if (h.block != 16) return avx2_blocked_hash(h);
  alignas(64) __m512i keys[kBlockedSamples / 4];
  alignas(64) uint16_t bits[kBlockedSamples];
  const int64_t rounded = (h.samples + 7) / 8 * 8;
  for (int64_t s = 0; s < rounded / 4; ++s) keys[s] = _mm512_setzero_si512();
  for (int64_t s = h.samples; s < rounded; ++s) bits[s] = 0;
  h.nonfinite = 0;
  for (int64_t u = 0; u < h.units; u += 16) {
    const float* x = h.x + u / 16 * h.block_stride;
    const int64_t lanes = h.units - u < 16 ? h.units - u : 16;
    if (pack_sixteen(h, x, bits, h.active + u) & first_lanes(lanes)) {
      h.nonfinite += count_nonfinite(x, h.samples, 16, lanes);
    }
    add_sixteen(h.words + 2 * u, bits, rounded, keys);
  }
  store_blocked_keys(keys, h.samples, h.keys);
}

#undef RELUFLOW_GFNI

}  // namespace

}  // namespace reluflow

#endif
