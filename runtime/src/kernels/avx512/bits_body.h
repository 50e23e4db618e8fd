// Pre-activations as bits with AVX-512: above the threshold or not, 64 values per word.
//
// In an unnamed namespace, as all bodies: nothing compiled for AVX-512 may be linked in elsewhere.
#ifndef RELUFLOW_KERNELS_AVX512_BITS_BODY_H
#define RELUFLOW_KERNELS_AVX512_BITS_BODY_H

#include <immintrin.h>

#include <cstdint>

#include "kernels/portable/loops_body.h"

namespace reluflow {

namespace {

// Both end with hash_body.h, which includes this file.
#define RELUFLOW_GFNI __attribute__((target("gfni,avx512vbmi,avx512bitalg")))
#define RELUFLOW_GFNI_INLINE RELUFLOW_GFNI __attribute__((always_inline)) inline

/// Reads vectors of pre-activations as bits and notices values that are not finite.
template <class T>
class BitReader;

template <>
class BitReader<float> {
 public:
  explicit BitReader(float threshold) : threshold_(_mm512_set1_ps(threshold)) {}

  /// Bits `x > threshold` of 64 values.
  RELUFLOW_GFNI_INLINE uint64_t whole(const float* x) {
    uint64_t bits = 0;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      bits |= static_cast<uint64_t>(look(_mm512_loadu_ps(x + 16 * i), i)) << (16 * i);
    }
    return bits;
  }

  /// The same of the first n < 64 values; the other bits are 0.
  RELUFLOW_GFNI_INLINE uint64_t part(const float* x, int64_t n) {
    uint64_t bits = 0;
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      if (16 * i >= n) break;
      const __mmask16 valid = first_lanes(n - 16 * i);
      const __mmask16 on = look(_mm512_maskz_loadu_ps(valid, x + 16 * i), i) & valid;
      bits |= static_cast<uint64_t>(on) << (16 * i);
    }
    return bits;
  }

  /// Whether any value so far was not finite.
  RELUFLOW_GFNI_INLINE bool spoiled() const {
    const __m512 all =
        _mm512_add_ps(_mm512_add_ps(sum_[0], sum_[1]), _mm512_add_ps(sum_[2], sum_[3]));
    return _mm512_cmp_ps_mask(all, all, _CMP_UNORD_Q) != 0;
  }

 private:
  RELUFLOW_GFNI_INLINE __mmask16 look(__m512 v, int i) {
    asm("" : "+v"(v));  // or g++ loads it twice, and most loads cross lines
    // Zero times a number that is not finite is NaN, and stays it.
    sum_[i] = _mm512_fmadd_ps(v, _mm512_setzero_ps(), sum_[i]);
    return _mm512_cmp_ps_mask(v, threshold_, _CMP_GT_OQ);
  }

  __m512 threshold_;
  __m512 sum_[4] = {};
};

template <>
class BitReader<double> {
 public:
  explicit BitReader(double threshold) : threshold_(_mm512_set1_pd(threshold)) {}

  RELUFLOW_GFNI_INLINE uint64_t whole(const double* x) {
    uint64_t bits = 0;
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      bits |= static_cast<uint64_t>(look(_mm512_loadu_pd(x + 8 * i), i % 4)) << (8 * i);
    }
    return bits;
  }

  RELUFLOW_GFNI_INLINE uint64_t part(const double* x, int64_t n) {
    uint64_t bits = 0;
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      if (8 * i >= n) break;
      const __mmask8 valid = static_cast<__mmask8>(first_lanes(n - 8 * i));
      const __mmask8 on = look(_mm512_maskz_loadu_pd(valid, x + 8 * i), i % 4) & valid;
      bits |= static_cast<uint64_t>(on) << (8 * i);
    }
    return bits;
  }

  RELUFLOW_GFNI_INLINE bool spoiled() const {
    const __m512d all =
        _mm512_add_pd(_mm512_add_pd(sum_[0], sum_[1]), _mm512_add_pd(sum_[2], sum_[3]));
    return _mm512_cmp_pd_mask(all, all, _CMP_UNORD_Q) != 0;
  }

 private:
  RELUFLOW_GFNI_INLINE __mmask8 look(__m512d v, int i) {
    asm("" : "+v"(v));  // or g++ loads it twice, and most loads cross lines
    sum_[i] = _mm512_fmadd_pd(v, _mm512_setzero_pd(), sum_[i]);
    return _mm512_cmp_pd_mask(v, threshold_, _CMP_GT_OQ);
  }

  __m512d threshold_;
  __m512d sum_[4] = {};
};

/// Non-finite values of `rows` rows.
template <class T>
int64_t nonfinite_of(const T* x, int64_t rows, int64_t columns, int64_t stride) {
  int64_t found = 0;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < columns; ++i) found += is_nonfinite(x[row * stride + i]);
  }
  return found;
}

}  // namespace

}  // namespace reluflow

#endif
