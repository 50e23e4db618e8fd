// Chains of 16 bits: one vpdpwssd adds 32 products.
//
// In an unnamed namespace, as all bodies: nothing compiled for AVX-512 may be linked in elsewhere.
#ifndef RELUFLOW_KERNELS_AVX512_FIXED16_BODY_H
#define RELUFLOW_KERNELS_AVX512_FIXED16_BODY_H

#include <immintrin.h>

#include "kernels/fixed16_args.h"
#include "kernels/portable/fixed16_body.h"

namespace reluflow {

namespace {

__attribute__((always_inline)) inline __m512i load16(const int32_t* x) {
  return _mm512_load_si512(x);
}

/// From a sum in the unit of the store to int32 values within their bounds.
template <bool kRaises>
__attribute__((always_inline)) inline __m512i scale16(const Fixed16Store& s, int at, __m512i t,
                                                      const __m512i* z) {
  if constexpr (kRaises) {
    const __m512i most = load16(s.most + at);
    t = _mm512_max_epi32(t, _mm512_sub_epi32(_mm512_setzero_si512(), most));
    t = _mm512_sllv_epi32(_mm512_min_epi32(t, most), load16(s.up + at));
  }
  t = _mm512_add_epi32(t, load16(s.add + at));
  if (z) t = _mm512_add_epi32(t, _mm512_sllv_epi32(*z, load16(s.z_shift + at)));
  t = _mm512_srav_epi32(t, load16(s.shift + at));
  t = _mm512_max_epi32(t, _mm512_set1_epi32(s.low));
  return _mm512_min_epi32(t, _mm512_set1_epi32(s.high));
}

__attribute__((always_inline)) inline __m512i round16(const Fixed16Store& s, int at, __m512i t) {
  return _mm512_srav_epi32(_mm512_add_epi32(t, load16(s.half + at)), load16(s.down + at));
}

template <bool kWide, bool kRounds, bool kRaises>
void store16(const Fixed16StoreArgs& a) {
  const Fixed16Store& s = *a.store;
  for (int v = 0; 16 * v < a.lanes; ++v) {
    const int left = a.lanes - 16 * v;
    const __mmask16 lanes = static_cast<__mmask16>(left >= 16 ? 0xffff : (1u << left) - 1u);
    for (int p = 0; p < a.pixels; ++p) {
      const int at = 16 * v;
      __m512i t = load16(a.sums + p * kTileLanes + at);
      if constexpr (kWide) {
        const __m512i high = load16(a.high + p * kTileLanes + at);
        t = _mm512_add_epi32(round16(s, at, t), _mm512_sllv_epi32(high, load16(s.left + at)));
        t = _mm512_add_epi32(t, load16(s.half2 + at));
        t = _mm512_srav_epi32(t, load16(s.down2 + at));
      } else if constexpr (kRounds) {
        t = round16(s, at, t);
      }
      if (a.z) {
        const __m512i z = _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(lanes, a.z[p] + at));
        t = scale16<kRaises>(s, at, t, &z);
      } else {
        t = scale16<kRaises>(s, at, t, nullptr);
      }
      _mm256_mask_storeu_epi16(a.out[p] + at, lanes, _mm512_cvtepi32_epi16(t));
    }
  }
}

void avx512_fixed16_store(const Fixed16StoreArgs& a) {
  const Fixed16Store& s = *a.store;
  if (a.high) return s.raises ? store16<true, false, true>(a) : store16<true, false, false>(a);
  if (s.rounds) return s.raises ? store16<false, true, true>(a) : store16<false, true, false>(a);
  return s.raises ? store16<false, false, true>(a) : store16<false, false, false>(a);
}

/// A vector of 32 channels at two taps, side by side: 2 vectors of pairs.
struct Pairs16 {
  __m512i low;
  __m512i high;

  __attribute__((always_inline)) Pairs16(__m512i a, __m512i b)
      : low(_mm512_unpacklo_epi16(a, b)), high(_mm512_unpackhi_epi16(a, b)) {}
};

#define RELUFLOW_PAIRS_DOT(sum, w, x) asm("vpdpwssd %1, %2, %0" : "+v"(sum) : "m"(w), "v"(x))

/// Channels [32 h, 32 h + 32) of a block, as far as they are valid. `kPairs` is 0 for any number.
template <int kPairs, bool kRounds, bool kRaises>
void depthwise16_half(const Fixed16DepthwiseArgs& a, int h) {
  const int left = a.lanes - 32 * h;
  const __mmask32 lanes = left >= 32 ? ~0u : (1u << left) - 1u;
  const Fixed16Store& s = *a.store;
  const int64_t pairs = kPairs > 0 ? kPairs : a.pairs;
  const auto* weights = reinterpret_cast<const __m512i*>(a.weights) + 2 * h;
  for (int64_t p = 0; p < a.width; ++p) {
    const int64_t at = p * a.step + 32 * h;
    __m512i s0 = _mm512_setzero_si512();
    __m512i s1 = s0;
    for (int64_t q = 0; q < pairs; ++q) {
      const Pairs16 x(_mm512_maskz_loadu_epi16(lanes, a.taps[2 * q] + at),
                      _mm512_maskz_loadu_epi16(lanes, a.taps[2 * q + 1] + at));
      RELUFLOW_PAIRS_DOT(s0, weights[4 * q], x.low);
      RELUFLOW_PAIRS_DOT(s1, weights[4 * q + 1], x.high);
    }
    if constexpr (kRounds) {
      s0 = round16(s, 32 * h, s0);
      s1 = round16(s, 32 * h + 16, s1);
    }
    if (a.z) {
      const __m512i values = _mm512_maskz_loadu_epi16(lanes, a.z + p * a.out_step + 32 * h);
      const Pairs16 z(values, _mm512_srai_epi16(values, 15));  // sign-extended to int32
      s0 = scale16<kRaises>(s, 32 * h, s0, &z.low);
      s1 = scale16<kRaises>(s, 32 * h + 16, s1, &z.high);
    } else {
      s0 = scale16<kRaises>(s, 32 * h, s0, nullptr);
      s1 = scale16<kRaises>(s, 32 * h + 16, s1, nullptr);
    }
    _mm512_mask_storeu_epi16(a.out + p * a.out_step + 32 * h, lanes, _mm512_packs_epi32(s0, s1));
  }
}

template <int kPairs>
void depthwise16(const Fixed16DepthwiseArgs& a) {
  for (int h = 0; 32 * h < a.lanes; ++h) {
    if (a.store->raises) {
      if (a.store->rounds) {
        depthwise16_half<kPairs, true, true>(a, h);
      } else {
        depthwise16_half<kPairs, false, true>(a, h);
      }
    } else if (a.store->rounds) {
      depthwise16_half<kPairs, true, false>(a, h);
    } else {
      depthwise16_half<kPairs, false, false>(a, h);
    }
  }
}

void avx512_fixed16_depthwise(const Fixed16DepthwiseArgs& a) {
  constexpr int kSmall = 5;   // 3 x 3 taps
  constexpr int kLarge = 13;  // 5 x 5 taps
  if (a.pairs == kSmall) return depthwise16<kSmall>(a);
  if (a.pairs == kLarge) return depthwise16<kLarge>(a);
  depthwise16<0>(a);
}

}  // namespace

}  // namespace reluflow

#endif
