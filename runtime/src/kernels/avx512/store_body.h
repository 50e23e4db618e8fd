// Stores of the AVX-512 kernels: sums lie channel beside channel, results pixel beside pixel.
//
// In an unnamed namespace, as all bodies: nothing compiled for AVX-512 may be linked in elsewhere.
#ifndef RELUFLOW_KERNELS_AVX512_STORE_BODY_H
#define RELUFLOW_KERNELS_AVX512_STORE_BODY_H

#include <immintrin.h>

#include <cstdint>

#include "kernels/avx512/rows_body.h"
#include "kernels/kernels.h"

namespace reluflow {

namespace {

/// Four pixels, four apart, of four channels: piece b holds pixel `4 b` of `from`.
__attribute__((always_inline)) inline __m512 four_pixels(const float* from) {
  __m512 r = _mm512_castps128_ps512(_mm_loadu_ps(from));
  r = _mm512_mask_broadcast_f32x4(r, 0x00f0, _mm_loadu_ps(from + 4 * kTileLanes));
  r = _mm512_mask_broadcast_f32x4(r, 0x0f00, _mm_loadu_ps(from + 8 * kTileLanes));
  return _mm512_mask_broadcast_f32x4(r, 0xf000, _mm_loadu_ps(from + 12 * kTileLanes));
}

/// Scale, bias, z and bounds of one channel, applied to 16 pixels and stored from `pixel` on.
__attribute__((always_inline)) inline void finish_and_store(const StoreArgs& s, int lane, __m512 y,
                                                            __mmask16 valid, int pixel) {
  y = _mm512_mul_ps(y, _mm512_set1_ps(s.scale_a[lane]));
  y = _mm512_mul_ps(y, _mm512_set1_ps(s.scale_b[lane]));
  if (s.bias) y = _mm512_add_ps(y, _mm512_set1_ps(s.bias[lane]));
  const int64_t at = lane * s.stride + pixel;
  if (s.z) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(valid, s.z + at));
  // The second operand is the result where the comparison is void: NaN and -0 stay.
  if (s.clips) y = _mm512_min_ps(_mm512_set1_ps(s.high), _mm512_max_ps(_mm512_set1_ps(s.low), y));
  _mm512_mask_storeu_ps(s.out + at, valid, y);
}

/// Up to 16 pixels of four channels: the four by four values of each piece are turned over.
__attribute__((always_inline)) inline void store_block(const StoreArgs& s, int pixel, int lane,
                                                       __mmask16 valid) {
  const float* sums = s.sums + pixel * kTileLanes + lane;
  const __m512 r0 = four_pixels(sums);
  const __m512 r1 = four_pixels(sums + kTileLanes);
  const __m512 r2 = four_pixels(sums + 2 * kTileLanes);
  const __m512 r3 = four_pixels(sums + 3 * kTileLanes);
  const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(r0, r1));
  const __m512d b = _mm512_castps_pd(_mm512_unpacklo_ps(r2, r3));
  const __m512d c = _mm512_castps_pd(_mm512_unpackhi_ps(r0, r1));
  const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(r2, r3));
  const int lanes = s.lanes - lane;
  finish_and_store(s, lane, _mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), valid, pixel);
  if (lanes > 1) {
    finish_and_store(s, lane + 1, _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)), valid, pixel);
  }
  if (lanes > 2) {
    finish_and_store(s, lane + 2, _mm512_castpd_ps(_mm512_unpacklo_pd(c, d)), valid, pixel);
  }
  if (lanes > 3) {
    finish_and_store(s, lane + 3, _mm512_castpd_ps(_mm512_unpackhi_pd(c, d)), valid, pixel);
  }
}

void avx512_store_planar(const StoreArgs& s) {
  for (int lane = 0; lane < s.lanes; lane += 4) {
    for (int pixel = 0; pixel < s.pixels; pixel += 16) {
      store_block(s, pixel, lane, first_lanes(s.pixels - pixel));
    }
  }
}

}  // namespace

}  // namespace reluflow

#endif
