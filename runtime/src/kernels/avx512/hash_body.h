// Fingerprints of the AVX-512 kernels: keys are kept as four planes of 32 bits.
//
// In an unnamed namespace, as all bodies: nothing compiled for AVX-512 may be linked in elsewhere.
#ifndef RELUFLOW_KERNELS_AVX512_HASH_BODY_H
#define RELUFLOW_KERNELS_AVX512_HASH_BODY_H

#include <immintrin.h>

#include <cstdint>

#include "kernels/avx512/rows_body.h"
#include "kernels/kernels.h"

namespace reluflow {

namespace {

using Planes = uint32_t[4][kHashSamples];

/// Adds U units, neighbours along the unit axis, to the keys of all samples of a piece.
template <int U>
int64_t hash_units(const HashArgs& h, int64_t unit, Planes& planes) {
  const __m512 threshold = _mm512_set1_ps(h.threshold);
  const float* rows = h.x + unit * h.unit_stride;
  const int32_t* words = reinterpret_cast<const int32_t*>(h.words + 2 * unit);
  int64_t active[U] = {};
  int64_t nonfinite = 0;
  for (int64_t s = 0; s < h.samples; s += 16) {
    const __mmask16 valid = first_lanes(h.samples - s);
    __m512i k0 = _mm512_load_si512(planes[0] + s);
    __m512i k1 = _mm512_load_si512(planes[1] + s);
    __m512i k2 = _mm512_load_si512(planes[2] + s);
    __m512i k3 = _mm512_load_si512(planes[3] + s);
#pragma GCC unroll 8
    for (int u = 0; u < U; ++u) {
      const __m512 x = _mm512_maskz_loadu_ps(valid, rows + u * h.unit_stride + s);
      const __mmask16 on = _mm512_mask_cmp_ps_mask(valid, x, threshold, _CMP_GT_OQ);
      k0 = _mm512_mask_xor_epi32(k0, on, k0, _mm512_set1_epi32(words[4 * u]));
      k1 = _mm512_mask_xor_epi32(k1, on, k1, _mm512_set1_epi32(words[4 * u + 1]));
      k2 = _mm512_mask_xor_epi32(k2, on, k2, _mm512_set1_epi32(words[4 * u + 2]));
      k3 = _mm512_mask_xor_epi32(k3, on, k3, _mm512_set1_epi32(words[4 * u + 3]));
      active[u] += __builtin_popcount(on);
      // Quiet and signalling NaN, both infinities.
      const __mmask16 bad = _mm512_fpclass_ps_mask(x, 0x01 | 0x80 | 0x08 | 0x10);
      nonfinite += __builtin_popcount(bad);
    }
    _mm512_store_si512(planes[0] + s, k0);
    _mm512_store_si512(planes[1] + s, k1);
    _mm512_store_si512(planes[2] + s, k2);
    _mm512_store_si512(planes[3] + s, k3);
  }
  for (int u = 0; u < U; ++u) {
    if (active[u]) __atomic_fetch_add(h.active + unit + u, active[u], __ATOMIC_RELAXED);
  }
  return nonfinite;
}

/// The keys of 16 samples from their planes, in the order of samples.
inline void store_keys(const HashArgs& h, int64_t s, const Planes& planes) {
  const __m512i a = _mm512_load_si512(planes[0] + s);
  const __m512i b = _mm512_load_si512(planes[1] + s);
  const __m512i c = _mm512_load_si512(planes[2] + s);
  const __m512i d = _mm512_load_si512(planes[3] + s);
  const __m512i ab0 = _mm512_unpacklo_epi32(a, b);
  const __m512i ab1 = _mm512_unpackhi_epi32(a, b);
  const __m512i cd0 = _mm512_unpacklo_epi32(c, d);
  const __m512i cd1 = _mm512_unpackhi_epi32(c, d);
  // Piece p of vector i is the key of sample 4 p + i.
  alignas(64) uint64_t keys[4][8];
  _mm512_store_si512(keys[0], _mm512_unpacklo_epi64(ab0, cd0));
  _mm512_store_si512(keys[1], _mm512_unpackhi_epi64(ab0, cd0));
  _mm512_store_si512(keys[2], _mm512_unpacklo_epi64(ab1, cd1));
  _mm512_store_si512(keys[3], _mm512_unpackhi_epi64(ab1, cd1));
  const int64_t n = h.samples - s < 16 ? h.samples - s : 16;
  for (int64_t i = 0; i < n; ++i) {
    __builtin_memcpy(h.keys + 2 * (s + i), &keys[i % 4][i / 4 * 2], 16);
  }
}

void avx512_hash(HashArgs& h) {
  alignas(64) Planes planes;
  for (int plane = 0; plane < 4; ++plane) {
    for (int64_t s = 0; s < h.samples; s += 16) {
      _mm512_store_si512(planes[plane] + s, _mm512_setzero_si512());
    }
  }
  int64_t nonfinite = 0;
  int64_t unit = 0;
  for (; unit + 8 <= h.units; unit += 8) nonfinite += hash_units<8>(h, unit, planes);
  for (; unit < h.units; ++unit) nonfinite += hash_units<1>(h, unit, planes);
  for (int64_t s = 0; s < h.samples; s += 16) store_keys(h, s, planes);
  h.nonfinite = nonfinite;
}

/// XOR of all 16 lanes.
inline uint32_t xor_lanes(__m512i v) {
  __m256i w = _mm256_xor_si256(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
  __m128i x = _mm_xor_si128(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1));
  x = _mm_xor_si128(x, _mm_shuffle_epi32(x, 0x4e));
  x = _mm_xor_si128(x, _mm_shuffle_epi32(x, 0xb1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(x));
}

constexpr int64_t kRowUnits = 512;  // units whose words are kept at once

/// The words and counts of up to 512 units, 16 side by side.
struct UnitBlock {
  uint32_t words[kRowUnits / 16][4][16];
  int32_t active[kRowUnits / 16][16];

  void fill(const uint64_t* from, int64_t units) {
    for (int64_t u = 0; u < units; ++u) {
      for (int p = 0; p < 4; ++p) {
        words[u / 16][p][u % 16] = static_cast<uint32_t>(from[2 * u + p / 2] >> (32 * (p % 2)));
      }
      active[u / 16][u % 16] = 0;
    }
  }
};

/// Adds the units of one block to the key of one sample; returns its non-finite values.
inline int64_t hash_row(const float* x, int64_t units, __m512 threshold, UnitBlock& block,
                        uint64_t* key) {
  __m512i k[4] = {};
  int64_t nonfinite = 0;
  for (int64_t u = 0; u < units; u += 16) {
    const __mmask16 valid = first_lanes(units - u);
    const __m512 v = _mm512_maskz_loadu_ps(valid, x + u);
    const __mmask16 on = _mm512_mask_cmp_ps_mask(valid, v, threshold, _CMP_GT_OQ);
    for (int p = 0; p < 4; ++p) {
      k[p] = _mm512_mask_xor_epi32(k[p], on, k[p], _mm512_load_si512(block.words[u / 16][p]));
    }
    const __m512i count = _mm512_load_si512(block.active[u / 16]);
    _mm512_store_si512(block.active[u / 16],
                       _mm512_mask_add_epi32(count, on, count, _mm512_set1_epi32(1)));
    nonfinite += __builtin_popcount(_mm512_fpclass_ps_mask(v, 0x01 | 0x80 | 0x08 | 0x10));
  }
  key[0] ^= xor_lanes(k[0]) | static_cast<uint64_t>(xor_lanes(k[1])) << 32;
  key[1] ^= xor_lanes(k[2]) | static_cast<uint64_t>(xor_lanes(k[3])) << 32;
  return nonfinite;
}

void avx512_hash_rows(HashArgs& h) {
  const __m512 threshold = _mm512_set1_ps(h.threshold);
  int64_t nonfinite = 0;
  for (int64_t s = 0; s < 2 * h.samples; ++s) h.keys[s] = 0;
  for (int64_t u0 = 0; u0 < h.units; u0 += kRowUnits) {
    const int64_t n = h.units - u0 < kRowUnits ? h.units - u0 : kRowUnits;
    alignas(64) UnitBlock block;
    block.fill(h.words + 2 * u0, n);
    for (int64_t s = 0; s < h.samples; ++s) {
      nonfinite += hash_row(h.x + s * h.unit_stride + u0, n, threshold, block, h.keys + 2 * s);
    }
    for (int64_t u = 0; u < n; ++u) {
      const int32_t count = block.active[u / 16][u % 16];
      if (count) __atomic_fetch_add(h.active + u0 + u, count, __ATOMIC_RELAXED);
    }
  }
  h.nonfinite = nonfinite;
}

}  // namespace

}  // namespace reluflow

#endif
