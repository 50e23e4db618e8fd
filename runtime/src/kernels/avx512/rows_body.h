// Quantising and depthwise rows of the AVX-512 kernels.
//
// In an unnamed namespace, as all bodies: nothing compiled for AVX-512 may be linked in elsewhere.
#ifndef RELUFLOW_KERNELS_AVX512_ROWS_BODY_H
#define RELUFLOW_KERNELS_AVX512_ROWS_BODY_H

#include <immintrin.h>

#include <cstdint>

#include "kernels/portable/loops_body.h"

namespace reluflow {

namespace {

/// Quantised values of one vector as int32; NaN becomes 0, infinities saturate.
struct Quantiser {
  __m512 scale;
  __m512 low;
  __m512 high;

  Quantiser(float scale_value, float limit)
      : scale(_mm512_set1_ps(scale_value)),
        low(_mm512_set1_ps(-limit)),
        high(_mm512_set1_ps(limit)) {}

  __attribute__((always_inline)) __m512i operator()(__m512 x) const {
    const __mmask16 ordered = _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q);
    const __m512 t = _mm512_maskz_mul_ps(ordered, x, scale);
    const __m512 bounded = _mm512_min_ps(_mm512_max_ps(t, low), high);
    return _mm512_cvt_roundps_epi32(bounded, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
};

/// The largest of 16 bit patterns of |x| with those of before.
__attribute__((always_inline)) inline __m512i larger_bits(__m512i best, __m512i x) {
  return _mm512_max_epi32(best, _mm512_and_si512(x, _mm512_set1_epi32(0x7fffffff)));
}

/// Where a value is not finite the slower loop looks again.
uint32_t avx512_max_abs_bits(const float* x, int64_t n) {
  __m512i a = _mm512_setzero_si512();
  __m512i b = a;
  __m512i c = a;
  __m512i d = a;
  int64_t i = 0;
  for (; i + 64 <= n; i += 64) {
    a = larger_bits(a, _mm512_loadu_si512(x + i));
    b = larger_bits(b, _mm512_loadu_si512(x + i + 16));
    c = larger_bits(c, _mm512_loadu_si512(x + i + 32));
    d = larger_bits(d, _mm512_loadu_si512(x + i + 48));
  }
  a = _mm512_max_epi32(_mm512_max_epi32(a, b), _mm512_max_epi32(c, d));
  alignas(64) uint32_t lanes[16];
  _mm512_store_si512(lanes, a);
  uint32_t best = 0;
  for (const uint32_t bits : lanes) best = bits > best ? bits : best;
  if (best >= 0x7f800000u) return common_max_abs_bits(x, n);
  const uint32_t rest = common_max_abs_bits(x + i, n - i);
  return best > rest ? best : rest;
}

/// Lanes [0, n) of a vector, n > 0.
__attribute__((always_inline)) inline __mmask16 first_lanes(int64_t n) {
  return n >= 16 ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << n) - 1u);
}

/// Every second value of 32, of which `n` outputs are wanted.
__attribute__((always_inline)) inline __m512i every_second(const void* from, int64_t n) {
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const int32_t* in = static_cast<const int32_t*>(from);
  const int64_t values = 2 * n - 1;
  const __m512i a = _mm512_maskz_loadu_epi32(first_lanes(values), in);
  __m512i b = _mm512_setzero_si512();
  if (values > 16) b = _mm512_maskz_loadu_epi32(first_lanes(values - 16), in + 16);
  return _mm512_permutex2var_epi32(a, even, b);
}

/// Up to 16 values, `step` apart.
__attribute__((always_inline)) inline __m512i load_step(const void* from, int64_t n, int64_t step) {
  if (step == 1) return _mm512_maskz_loadu_epi32(first_lanes(n), from);
  if (step == 2) return every_second(from, n);
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i index = _mm512_mullo_epi32(lane, _mm512_set1_epi32(static_cast<int>(step)));
  return _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), first_lanes(n), index, from, 4);
}

__attribute__((always_inline)) inline void pack_16(const float* a, const float* b, int64_t n,
                                                   int64_t step, const Quantiser& quantiser,
                                                   int32_t* out) {
  __m512i pair = _mm512_and_si512(quantiser(_mm512_castsi512_ps(load_step(a, n, step))),
                                  _mm512_set1_epi32(0xffff));
  if (b) {
    const __m512i high = quantiser(_mm512_castsi512_ps(load_step(b, n, step)));
    pair = _mm512_or_si512(pair, _mm512_slli_epi32(high, 16));
  }
  _mm512_mask_storeu_epi32(out, first_lanes(n), pair);
}

void avx512_pack_row(const float* a, const float* b, int64_t n, int64_t step, float scale,
                     float limit, int32_t* out) {
  const Quantiser quantiser(scale, limit);
  if (step == 1) {
    int64_t i = 0;
    if (b) {
      for (; i + 16 <= n; i += 16) pack_16(a + i, b + i, 16, 1, quantiser, out + i);
    } else {
      for (; i + 16 <= n; i += 16) pack_16(a + i, nullptr, 16, 1, quantiser, out + i);
    }
    if (i < n) pack_16(a + i, b ? b + i : b, n - i, 1, quantiser, out + i);
    return;
  }
  for (int64_t i = 0; i < n; i += 16) {
    pack_16(a + i * step, b ? b + i * step : b, n - i, step, quantiser, out + i);
  }
}

}  // namespace

}  // namespace reluflow

#endif
