// Four values mixed to one: vpmaddwd adds the products of two of them.
#ifndef RELUFLOW_KERNELS_AVX512_MIX_BODY_H
#define RELUFLOW_KERNELS_AVX512_MIX_BODY_H

#include <immintrin.h>

#include "kernels/bytes_args.h"

namespace reluflow {

namespace {

__attribute__((always_inline)) inline __m512i mix_words(const uint8_t* x, __mmask32 some) {
  return _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(some, x));
}

__attribute__((always_inline)) inline __m512i mix_words(const int16_t* x, __mmask32 some) {
  return _mm512_maskz_loadu_epi16(some, x);
}

__attribute__((always_inline)) inline void store_mixed(uint8_t* out, __mmask32 some, __m512i y) {
  _mm256_mask_storeu_epi8(out, some, _mm512_cvtepi16_epi8(y));
}

__attribute__((always_inline)) inline void store_mixed(int16_t* out, __mmask32 some, __m512i y) {
  _mm512_mask_storeu_epi16(out, some, y);
}

template <class Value>
void avx512_mix(const MixArgs<Value>& args) {
  int32_t pairs[2];
  __builtin_memcpy(pairs, args.weights, sizeof pairs);
  const __m512i near = _mm512_set1_epi32(pairs[0]);
  const __m512i far = _mm512_set1_epi32(pairs[1]);
  const __m512i half = _mm512_set1_epi32(1 << (2 * kMixBits - 1));
  for (int64_t i = 0; i < args.n; i += 32) {
    const __mmask32 some = args.n - i >= 32 ? ~0u : (1u << (args.n - i)) - 1u;
    const __m512i a = mix_words(args.x[0] + i, some);
    const __m512i b = mix_words(args.x[1] + i, some);
    const __m512i c = mix_words(args.x[2] + i, some);
    const __m512i d = mix_words(args.x[3] + i, some);
    const auto mixed = [&](__m512i ab, __m512i cd) {
      const __m512i sum = _mm512_add_epi32(_mm512_madd_epi16(ab, near), _mm512_madd_epi16(cd, far));
      return _mm512_srai_epi32(_mm512_add_epi32(sum, half), 2 * kMixBits);
    };
    // Unpacking and packing keep to lanes of 128 bits, so that the order is the old one again.
    const __m512i low = mixed(_mm512_unpacklo_epi16(a, b), _mm512_unpacklo_epi16(c, d));
    const __m512i high = mixed(_mm512_unpackhi_epi16(a, b), _mm512_unpackhi_epi16(c, d));
    store_mixed(args.out + i, some, _mm512_packs_epi32(low, high));
  }
}

}  // namespace

}  // namespace reluflow

#endif
