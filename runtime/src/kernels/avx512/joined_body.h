// Sums in two parts, rounded to float32.
//
// In an unnamed namespace, as all bodies: nothing compiled for AVX-512 may be linked in elsewhere.
#ifndef RELUFLOW_KERNELS_AVX512_JOINED_BODY_H
#define RELUFLOW_KERNELS_AVX512_JOINED_BODY_H

#include <immintrin.h>

#include "kernels/kernels.h"

namespace reluflow {

namespace {

/// top 2^16 + rest of 8 lanes, rounded once.
__attribute__((always_inline)) inline __m256 joined8(__m256i top, __m256i rest) {
  const __m512i high = _mm512_slli_epi64(_mm512_cvtepi32_epi64(top), kHighBits);
  return _mm512_cvtepi64_ps(_mm512_add_epi64(high, _mm512_cvtepi32_epi64(rest)));
}

/// high 2^16 + low, rounded once; where all of them fit int32, as most do, from there.
__attribute__((always_inline)) inline __m512 joined16(__m512i low, __m512i high) {
  const __m512i top = _mm512_add_epi32(high, _mm512_srai_epi32(low, kHighBits));
  const __m512i rest = _mm512_and_si512(low, _mm512_set1_epi32((1 << kHighBits) - 1));
  const __m512i up = _mm512_slli_epi32(top, kHighBits);
  if (_mm512_cmpneq_epi32_mask(_mm512_srai_epi32(up, kHighBits), top) == 0) {
    return _mm512_cvtepi32_ps(_mm512_or_si512(up, rest));
  }
  const __m512 first =
      _mm512_castps256_ps512(joined8(_mm512_castsi512_si256(top), _mm512_castsi512_si256(rest)));
  return _mm512_insertf32x8(
      first, joined8(_mm512_extracti64x4_epi64(top, 1), _mm512_extracti64x4_epi64(rest, 1)), 1);
}

}  // namespace

}  // namespace reluflow

#endif
