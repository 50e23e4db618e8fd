// Chains of 16 bits: one vpdpwssd adds 32 products.
//
// In an unnamed namespace, as all bodies: nothing compiled for AVX-512 may be linked in elsewhere.
#ifndef RELUFLOW_KERNELS_AVX512_FIXED16_BODY_H
#define RELUFLOW_KERNELS_AVX512_FIXED16_BODY_H

#include <immintrin.h>

#include "kernels/avx512/rows_body.h"
#include "kernels/fixed16_args.h"
#include "kernels/portable/fixed16_body.h"

namespace reluflow {

namespace {

__attribute__((always_inline)) inline __m512i load16(const int32_t* x) {
  return _mm512_load_si512(x);
}

/// What a store does to one vector of lanes, in registers. kHigh: sums have two parts.
template <bool kHigh, bool kRounds, bool kRare>
struct Lanes16 {
  bool deep, raises;
  __m512i half, down, left, half2, down2, most, up, add, z_shift, shift;

  __attribute__((always_inline)) Lanes16(const Fixed16Store& s, int at)
      : add(load16(s.add + at)), z_shift(load16(s.z_shift + at)), shift(load16(s.shift + at)) {
    if constexpr (kRounds) {
      half = load16(s.half + at);
      down = load16(s.down + at);
    }
    if constexpr (kHigh) left = load16(s.left + at);
    if constexpr (kRare) {
      deep = s.deep;
      raises = s.raises;
      half2 = load16(s.half2 + at);
      down2 = load16(s.down2 + at);
      most = load16(s.most + at);
      up = load16(s.up + at);
    }
  }

  /// From a sum to the sum in its unit; `high` counts where sums have two parts.
  __attribute__((always_inline)) __m512i settle(__m512i t, __m512i high) const {
    if constexpr (kRounds) t = _mm512_srav_epi32(_mm512_add_epi32(t, half), down);
    if constexpr (kHigh) t = _mm512_add_epi32(t, _mm512_sllv_epi32(high, left));
    if (kRare && deep) t = _mm512_srav_epi32(_mm512_add_epi32(t, half2), down2);
    if (kRare && raises) {
      t = _mm512_max_epi32(t, _mm512_sub_epi32(_mm512_setzero_si512(), most));
      t = _mm512_sllv_epi32(_mm512_min_epi32(t, most), up);
    }
    return _mm512_add_epi32(t, add);
  }
  __attribute__((always_inline)) __m512i with(__m512i t, __m512i z) const {
    return _mm512_add_epi32(t, _mm512_sllv_epi32(z, z_shift));
  }
  __attribute__((always_inline)) __m512i scale(__m512i t) const {
    return _mm512_srav_epi32(t, shift);
  }
};

/// Values of 32 channels between two bounds.
struct Bounds16 {
  __m512i low;
  __m512i high;

  __attribute__((always_inline)) explicit Bounds16(const Fixed16Store& s)
      : low(_mm512_set1_epi16(static_cast<int16_t>(s.low))),
        high(_mm512_set1_epi16(static_cast<int16_t>(s.high))) {}
  __attribute__((always_inline)) __m512i operator()(__m512i v) const {
    return _mm512_min_epi16(_mm512_max_epi16(v, low), high);
  }
};

__attribute__((always_inline)) inline __mmask32 lanes16(int left) {
  return left >= 32 ? ~0u : (1u << left) - 1u;
}

/// Two vectors of 16 channels at once: what the packing saturates lies outside the bounds too.
template <bool kHigh, bool kRounds, bool kRare, bool kAdds>
__attribute__((always_inline)) inline void store16_half(const Fixed16StoreArgs& a, int at) {
  const bool whole = a.lanes - at >= 32;  // masked stores are slow
  const __mmask32 lanes = lanes16(a.lanes - at);
  const Lanes16<kHigh, kRounds, kRare> first(*a.store, at);
  const Lanes16<kHigh, kRounds, kRare> second(*a.store, at + 16);
  const Bounds16 bounds(*a.store);
  const __m512i order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
  for (int p = 0; p < a.pixels; ++p) {
    const int32_t* sums = a.sums + p * kTileLanes + at;
    const int32_t* high = kHigh ? a.high + p * kTileLanes + at : sums;
    __m512i s0 = first.settle(load16(sums), load16(high));
    __m512i s1 = second.settle(load16(sums + 16), load16(high + 16));
    if constexpr (kAdds) {
      const int16_t* from = a.z[p] + at;
      const __m512i z = whole ? _mm512_loadu_si512(from) : _mm512_maskz_loadu_epi16(lanes, from);
      s0 = first.with(s0, _mm512_cvtepi16_epi32(_mm512_castsi512_si256(z)));
      s1 = second.with(s1, _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(z, 1)));
    }
    const __m512i values = _mm512_packs_epi32(first.scale(s0), second.scale(s1));
    const __m512i y = bounds(_mm512_permutexvar_epi64(order, values));
    if (whole) {
      _mm512_storeu_si512(a.out[p] + at, y);
    } else {
      _mm512_mask_storeu_epi16(a.out[p] + at, lanes, y);
    }
  }
}

template <bool kHigh, bool kRounds, bool kRare>
void store16(const Fixed16StoreArgs& a) {
  for (int at = 0; at < a.lanes; at += 32) {
    if (a.z) {
      store16_half<kHigh, kRounds, kRare, true>(a, at);
    } else {
      store16_half<kHigh, kRounds, kRare, false>(a, at);
    }
  }
}

void avx512_fixed16_store(const Fixed16StoreArgs& a) {
  const Fixed16Store& s = *a.store;
  if (s.deep || s.raises)
    return a.high ? store16<true, true, true>(a) : store16<false, true, true>(a);
  if (a.high) return store16<true, true, false>(a);
  return s.rounds ? store16<false, true, false>(a) : store16<false, false, false>(a);
}

/// A vector of 32 channels at two taps, side by side: 2 vectors of pairs.
struct Pairs16 {
  __m512i low;
  __m512i high;

  __attribute__((always_inline)) Pairs16(__m512i a, __m512i b)
      : low(_mm512_unpacklo_epi16(a, b)), high(_mm512_unpackhi_epi16(a, b)) {}
};

#define RELUFLOW_PAIRS_DOT(sum, w, x) asm("vpdpwssd %1, %2, %0" : "+v"(sum) : "v"(w), "v"(x))

#define RELUFLOW_PAIRS_ZERO(p)              \
  __m512i s##p##0 = _mm512_setzero_si512(); \
  __m512i s##p##1 = _mm512_setzero_si512(); \
  __m512i h##p##0 = _mm512_setzero_si512(); \
  __m512i h##p##1 = _mm512_setzero_si512()

#define RELUFLOW_PAIRS_SPLIT(p)  \
  if constexpr (P > p) {         \
    split16(&s##p##0, &h##p##0); \
    split16(&s##p##1, &h##p##1); \
  }

#define RELUFLOW_PAIRS_ROW(p)                                              \
  if constexpr (P > p) {                                                   \
    const Pairs16 x(_mm512_maskz_loadu_epi16(lanes, first + p * a.step),   \
                    _mm512_maskz_loadu_epi16(lanes, second + p * a.step)); \
    RELUFLOW_PAIRS_DOT(s##p##0, w0, x.low);                                \
    RELUFLOW_PAIRS_DOT(s##p##1, w1, x.high);                               \
  }

#define RELUFLOW_PAIRS_OUT(p)                                                       \
  if constexpr (P > p) {                                                            \
    s##p##0 = low.settle(s##p##0, h##p##0);                                         \
    s##p##1 = high.settle(s##p##1, h##p##1);                                        \
    if (a.z) {                                                                      \
      const __m512i v = _mm512_maskz_loadu_epi16(lanes, a.z + to + p * a.out_step); \
      const Pairs16 z(v, _mm512_srai_epi16(v, 15)); /* sign-extended to int32 */    \
      s##p##0 = low.with(s##p##0, z.low);                                           \
      s##p##1 = high.with(s##p##1, z.high);                                         \
    }                                                                               \
    const __m512i y = _mm512_packs_epi32(low.scale(s##p##0), high.scale(s##p##1));  \
    if (whole) {                                                                    \
      _mm512_storeu_si512(a.out + to + p * a.out_step, bounds(y));                  \
    } else {                                                                        \
      _mm512_mask_storeu_epi16(a.out + to + p * a.out_step, lanes, bounds(y));      \
    }                                                                               \
  }

/// Moves the high part of a sum to `high`.
__attribute__((always_inline)) inline void split16(__m512i* sum, __m512i* high) {
  *high = _mm512_add_epi32(*high, _mm512_srai_epi32(*sum, kHighBits));
  *sum = _mm512_and_si512(*sum, _mm512_set1_epi32((1 << kHighBits) - 1));
}

/// Channels [at, at + 32) of a block, P pixels at once.
template <int P, bool kHigh, bool kRounds, bool kRare>
void depthwise16_half(const Fixed16DepthwiseArgs& a, int at, int64_t begin, int64_t end) {
  const bool whole = a.lanes - at >= 32;  // masked stores are slow
  const __mmask32 lanes = lanes16(a.lanes - at);
  const Lanes16<kHigh, kRounds, kRare> low(*a.store, at);
  const Lanes16<kHigh, kRounds, kRare> high(*a.store, at + 16);
  const Bounds16 bounds(*a.store);
  const auto* weights = reinterpret_cast<const __m512i*>(a.weights) + at / 16;
  for (int64_t p = begin; p + P <= end; p += P) {
    RELUFLOW_PAIRS_ZERO(0);
    RELUFLOW_PAIRS_ZERO(1);
    RELUFLOW_PAIRS_ZERO(2);
    RELUFLOW_PAIRS_ZERO(3);
    const int64_t from = a.offset + at + p * a.step;
    int64_t run = 0;
    for (int64_t q = 0; q < a.pairs; ++q) {
      if (kHigh && q == a.ends[run]) {
        ++run;
        RELUFLOW_PAIRS_SPLIT(0)
        RELUFLOW_PAIRS_SPLIT(1)
        RELUFLOW_PAIRS_SPLIT(2)
        RELUFLOW_PAIRS_SPLIT(3)
      }
      const int16_t* first = a.taps[2 * q] + from;
      const int16_t* second = a.taps[2 * q + 1] + from;
      const __m512i w0 = _mm512_load_si512(weights + 4 * q);
      const __m512i w1 = _mm512_load_si512(weights + 4 * q + 1);
      RELUFLOW_PAIRS_ROW(0)
      RELUFLOW_PAIRS_ROW(1)
      RELUFLOW_PAIRS_ROW(2)
      RELUFLOW_PAIRS_ROW(3)
    }
    const int64_t to = at + p * a.out_step;
    RELUFLOW_PAIRS_OUT(0)
    RELUFLOW_PAIRS_OUT(1)
    RELUFLOW_PAIRS_OUT(2)
    RELUFLOW_PAIRS_OUT(3)
  }
}

template <bool kHigh, bool kRounds, bool kRare>
void depthwise16(const Fixed16DepthwiseArgs& a) {
  const int64_t whole = a.width / 4 * 4;
  for (int at = 0; at < a.lanes; at += 32) {
    depthwise16_half<4, kHigh, kRounds, kRare>(a, at, 0, whole);
    depthwise16_half<1, kHigh, kRounds, kRare>(a, at, whole, a.width);
  }
}

void avx512_fixed16_depthwise(const Fixed16DepthwiseArgs& a) {
  const Fixed16Store& s = *a.store;
  const bool rare = s.deep || s.raises;
  if (a.runs > 1)
    return rare ? depthwise16<true, true, true>(a) : depthwise16<true, true, false>(a);
  if (rare) return depthwise16<false, true, true>(a);
  return s.rounds ? depthwise16<false, true, false>(a) : depthwise16<false, false, false>(a);
}

void avx512_fixed16_max(const int16_t* const* taps, int64_t count, int64_t n, int16_t* out) {
  for (int64_t i = 0; i < n; i += 32) {
    const __mmask32 lanes = n - i >= 32 ? ~0u : (1u << (n - i)) - 1u;
    __m512i largest = _mm512_maskz_loadu_epi16(lanes, taps[0] + i);
    for (int64_t t = 1; t < count; ++t) {
      largest = _mm512_max_epi16(largest, _mm512_maskz_loadu_epi16(lanes, taps[t] + i));
    }
    _mm512_mask_storeu_epi16(out + i, lanes, largest);
  }
}

/// Images of three channels, 16 pixels at once; fewer pixels, and others, go the plain way.
void avx512_fixed16_pack(const Fixed16PackArgs& a) {
  int64_t p = 0;
  if (a.channels == 3 && a.step == 3) {
    const Quantiser quantiser(a.scale, a.limit);
    alignas(64) int16_t order[64] = {};
    for (int16_t i = 0; i < 48; ++i) order[i] = static_cast<int16_t>(i % 3 * 16 + i / 3);
    const __m512i first = _mm512_load_si512(order);
    const __m512i second = _mm512_load_si512(order + 32);
    const auto sixteen = [&](int64_t p) {
      __m256i c[3];
      for (int i = 0; i < 3; ++i) {
        c[i] = _mm512_cvtepi32_epi16(quantiser(_mm512_loadu_ps(a.x + i * a.plane + p)));
      }
      const __m512i two = _mm512_inserti64x4(_mm512_castsi256_si512(c[0]), c[1], 1);
      const __m512i one = _mm512_castsi256_si512(c[2]);
      _mm512_storeu_si512(a.out + 3 * p, _mm512_permutex2var_epi16(two, first, one));
      const __m512i rest = _mm512_permutex2var_epi16(two, second, one);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(a.out + 3 * p + 32),
                          _mm512_castsi512_si256(rest));
    };
    for (; p + 16 <= a.pixels; p += 16) sixteen(p);
    if (p > 0 && p < a.pixels) {  // the last pixels, some of them once more
      sixteen(a.pixels - 16);
      p = a.pixels;
    }
  }
  Fixed16PackArgs rest = a;
  rest.x += p;
  rest.out += p * a.step;
  rest.pixels -= p;
  common_fixed16_pack(rest);
}

}  // namespace

}  // namespace reluflow

#endif
