// Draws of the AVX-512 kernels: the two weights of a pair for 16 output channels at once.
//
// In an unnamed namespace, as all bodies: nothing compiled for AVX-512 may be linked in elsewhere.
#ifndef RELUFLOW_KERNELS_AVX512_DRAW_BODY_H
#define RELUFLOW_KERNELS_AVX512_DRAW_BODY_H

#include <immintrin.h>

#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/portable/loops_body.h"

namespace reluflow {

namespace {

__attribute__((always_inline)) inline __m512i lowbias16(__m512i v) {
  v = _mm512_xor_si512(v, _mm512_srli_epi32(v, 16));
  v = _mm512_mullo_epi32(v, _mm512_set1_epi32(0x7feb352d));
  v = _mm512_xor_si512(v, _mm512_srli_epi32(v, 15));
  v = _mm512_mullo_epi32(v, _mm512_set1_epi32(static_cast<int>(0x846ca68bu)));
  return _mm512_xor_si512(v, _mm512_srli_epi32(v, 16));
}

/// What stays the same while a block of channels is drawn.
struct Drawing {
  __m512i key_a;
  __m512i key_b;
  __m512i keep;        // bits of k << (14 - log2 n) that n p16 fills without a carry
  __m512i carry;       // 1 << (14 - log2 n)
  __m128i left;        // log2 n
  __m128i carry_left;  // log2 n, and 8 more where only c >> 8 is stored
  __m128i right;       // 14 - log2 n
  int words;           // random words per weight of the binomial sampler: n / 2, at least 1
  __mmask32 halves;    // halves of a word that it uses: both but for n = 1

  explicit Drawing(const DrawArgs& d)
      : key_a(_mm512_set1_epi32(static_cast<int>(d.key_a))),
        key_b(_mm512_set1_epi32(static_cast<int>(d.key_b))),
        keep(_mm512_set1_epi16(static_cast<int16_t>((1 << 14) - (1 << (14 - d.log2_n))))),
        carry(_mm512_set1_epi16(static_cast<int16_t>(1 << (14 - d.log2_n)))),
        left(_mm_cvtsi32_si128(d.log2_n)),
        carry_left(_mm_cvtsi32_si128(d.carried ? d.log2_n : d.log2_n + 8)),
        right(_mm_cvtsi32_si128(14 - d.log2_n)),
        words(d.log2_n == 0 ? 1 : 1 << (d.log2_n - 1)),
        halves(d.log2_n == 0 ? 0x55555555u : 0xffffffffu) {}

  /// w' of 16 pairs whose offsets or, for the binomial sampler, first weights are `lane`, with the
  /// second ones `apart` from these.
  ///
  /// With v = (n + k) << (14 - log2 n), w' = half of v >> j, rounded up. The carry of n p16 mod
  /// 2^16 plus r is the only part of k that is not a shift of p16.
  template <int kSampler>
  __attribute__((always_inline)) __m512i draw(__m512i p16, __m512i carried, __m512i code,
                                              __m512i lane, __m512i apart) const {
    if (kSampler == 1) return weight(binomial(p16, lane, apart), code);
    __m512i r = lane;
    if (kSampler == 0) r = _mm512_add_epi16(lane, _mm512_sll_epi16(carried, carry_left));
    const __m512i rest = _mm512_sll_epi16(p16, left);
    const __mmask32 over = _mm512_cmplt_epu16_mask(_mm512_add_epi16(rest, r), rest);
    // (p16 >> 2 & keep) | 2^14
    __m512i v = _mm512_ternarylogic_epi32(_mm512_srli_epi16(p16, 2), keep,
                                          _mm512_set1_epi16(1 << 14), 0xea);
    v = _mm512_mask_add_epi16(v, over, v, carry);
    return weight(v, code);
  }

  /// 32 random bits per lane.
  __attribute__((always_inline)) __m512i random(__m512i counter) const {
    return lowbias16(_mm512_add_epi32(lowbias16(_mm512_xor_si512(counter, key_a)), key_b));
  }

  /// Half of v >> j, rounded up, with its sign.
  __attribute__((always_inline)) static __m512i weight(__m512i v, __m512i code) {
    v = _mm512_srlv_epi16(v, _mm512_and_si512(code, _mm512_set1_epi16(15)));
    v = _mm512_avg_epu16(v, _mm512_setzero_si512());
    const __mmask32 negative = _mm512_test_epi16_mask(code, _mm512_set1_epi16(0x80));
    return _mm512_mask_sub_epi16(v, negative, _mm512_setzero_si512(), v);
  }

 private:
  /// (n + k) << (14 - log2 n) with k of n coins each; `counter` = number of each first weight.
  __attribute__((always_inline)) __m512i binomial(__m512i p16, __m512i counter,
                                                  __m512i apart) const {
    const __m512i first_p = _mm512_or_si512(_mm512_and_si512(p16, _mm512_set1_epi32(0xffff)),
                                            _mm512_slli_epi32(p16, 16));
    const __m512i second_p = _mm512_or_si512(_mm512_srli_epi32(p16, 16),
                                             _mm512_andnot_si512(_mm512_set1_epi32(0xffff), p16));
    const __m512i next = _mm512_add_epi32(counter, apart);
    const __m512i first = coins(first_p, _mm512_slli_epi32(counter, 5));
    const __m512i second = coins(second_p, _mm512_slli_epi32(next, 5));
    const __m512i k = _mm512_or_si512(first, _mm512_slli_epi32(second, 16));
    return _mm512_add_epi16(_mm512_set1_epi16(1 << 14), _mm512_sll_epi16(k, right));
  }

  /// How many of the 16 bits draws of each lane lie below p, given in both halves of a lane.
  __attribute__((always_inline)) __m512i coins(__m512i p, __m512i counter) const {
    const __m512i one = _mm512_set1_epi16(1);
    __m512i count = _mm512_setzero_si512();
    for (int t = 0; t < words; ++t) {
      const __m512i r = random(_mm512_add_epi32(counter, _mm512_set1_epi32(t)));
      const __mmask32 below = _mm512_cmplt_epu16_mask(r, p) & halves;
      count = _mm512_mask_add_epi16(count, below, count, one);
    }
    return _mm512_add_epi32(_mm512_and_si512(count, _mm512_set1_epi32(0xffff)),
                            _mm512_srli_epi32(count, 16));
  }
};

/// What tells the lanes apart: U twice, the number of the channel's first weight, or 2^15 twice.
template <int kSampler>
__attribute__((always_inline)) inline __m512i lane_values(const DrawArgs& d, int vector) {
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i channel = _mm512_add_epi32(
      lane, _mm512_set1_epi32(static_cast<int>(d.first_channel) + vector * kLanes));
  if (kSampler == 2) return _mm512_set1_epi16(static_cast<int16_t>(0x8000));
  if (kSampler == 1) {
    return _mm512_mullo_epi32(channel, _mm512_set1_epi32(static_cast<int>(d.per_channel)));
  }
  return _mm512_loadu_si512(d.offsets + vector * kLanes);
}

/// How the words of weights are stored: p16 and c each, c >> 8 in the low byte, or packed.
enum class Words { kApart, kJoined, kPacked };

/// p16 of stored words.
template <Words kWords>
__attribute__((always_inline)) inline __m512i p16_of(__m512i word) {
  if (kWords == Words::kApart) return word;
  const int mask = kWords == Words::kJoined ? 0xff00 : 0xf000;
  return _mm512_and_si512(word, _mm512_set1_epi16(static_cast<int16_t>(mask)));
}

/// sign_shift of packed words.
__attribute__((always_inline)) inline __m512i code_of(__m512i word) {
  const __m512i sign = _mm512_slli_epi16(word, 3);
  return _mm512_or_si512(_mm512_and_si512(word, _mm512_set1_epi16(15)),
                         _mm512_and_si512(sign, _mm512_set1_epi16(0x80)));
}

/// Draws a range of pairs.
template <int kSampler, Words kWords>
void draw_pairs(const DrawArgs& d) {
  const Drawing drawing(d);
  __m512i lanes[kTileLanes / kLanes];
  for (int v = 0; v < d.vectors; ++v) lanes[v] = lane_values<kSampler>(d, v);
  int64_t at = d.pair_begin * d.vectors * 2 * kLanes;
  for (int64_t pair = d.pair_begin; pair < d.pair_end; ++pair) {
    const int first = kSampler == 1 ? static_cast<int>(d.first[pair]) : 0;
    const int second = kSampler == 1 ? static_cast<int>(d.second[pair]) : 0;
    const __m512i apart = _mm512_set1_epi32(second - first);
    for (int v = 0; v < d.vectors; ++v, at += 2 * kLanes) {
      const __m512i word = _mm512_load_si512(d.p16 + at);
      __m512i carried = word;  // read by the systematic sampler alone, where it is apart
      if constexpr (kWords == Words::kApart) carried = _mm512_load_si512(d.carried + at);
      const __m512i p16 = p16_of<kWords>(word);
      __m512i lane = lanes[v];
      if (kSampler == 1) lane = _mm512_add_epi32(lane, _mm512_set1_epi32(first));
      __m512i wide;
      if constexpr (kWords == Words::kPacked) {
        wide = code_of(word);
      } else {
        const auto* code = reinterpret_cast<const __m256i*>(d.sign_shift + at);
        wide = _mm512_cvtepu8_epi16(_mm256_load_si256(code));
      }
      _mm512_store_si512(d.out + at, drawing.draw<kSampler>(p16, carried, wide, lane, apart));
    }
  }
}

constexpr int kDrawAhead = 2048;  // bytes of words fetched ahead; the hardware stops at each page

/// Systematic draws where p has at most 8 bits and stands in one word with c >> 8.
///
/// With u = U >> log2 n, n p16 + r = n (p16 + (c + u mod 2^16 / n)): so k is what a sum of two
/// words has above 2^16 / n. All are three bits lower here, to make room for n and a sign. Five low
/// bits of u are of no effect and are cleared, for those of p are what is left of c. What a factor
/// does: see `sampled_factor`. Packed words differ in where c stands, leave nine bits free of p and
/// c, whose leftovers do not add up to 2^9, and name their factor by a number.
template <bool kPacked>
void draw_joined(const DrawArgs& d) {
  constexpr int kUp = kPacked ? kPackedCarry - 3 : 5;
  const DrawMasks masks = draw_masks(d.log2_n, kPacked);
  const __m512i table = kPacked ? _mm512_loadu_si512(d.factors) : _mm512_setzero_si512();
  const __m512i rest = _mm512_set1_epi16(static_cast<int16_t>(masks.rest));
  const __m512i n = _mm512_set1_epi16(1 << 13);
  const __m512i one = _mm512_set1_epi16(1);
  __m512i u[kTileLanes / kLanes];
  for (int v = 0; v < d.vectors; ++v) {
    const __m512i offsets = _mm512_loadu_si512(d.offsets + v * kLanes);
    const __m512i shifted = _mm512_srl_epi16(offsets, _mm_cvtsi32_si128(d.log2_n + 3));
    u[v] = _mm512_and_si512(shifted, _mm512_set1_epi16(static_cast<int16_t>(masks.offset)));
  }
  const int64_t width = int64_t{2} * kLanes * d.vectors;
  const uint16_t* word = d.p16 + d.pair_begin * width;
  const int16_t* factor = kPacked ? d.factors : d.factors + d.pair_begin * width;
  int16_t* out = d.out + d.pair_begin * width;
  for (int64_t pair = d.pair_begin; pair < d.pair_end; ++pair) {
    for (int v = 0; v < d.vectors; ++v) {
      const __m512i both = _mm512_loadu_si512(word);
      _mm_prefetch(reinterpret_cast<const char*>(word) + kDrawAhead, _MM_HINT_T0);
      const __m512i sum = _mm512_add_epi16(_mm512_slli_epi16(both, kUp), u[v]);
      const __m512i drawn = _mm512_ternarylogic_epi32(sum, rest, n, 0xea);  // (a & b) | c
      const __m512i all = _mm512_add_epi16(_mm512_srli_epi16(both, 3), drawn);
      const __m512i whole = _mm512_ternarylogic_epi32(all, rest, one, 0xba);  // (a & ~b) | c
      const __m512i by =
          kPacked ? _mm512_permutexvar_epi16(both, table) : _mm512_loadu_si512(factor);
      _mm512_storeu_si512(out, _mm512_mulhrs_epi16(whole, by));
      word += 2 * kLanes;
      if constexpr (!kPacked) factor += 2 * kLanes;
      out += 2 * kLanes;
    }
  }
}

template <int kSampler>
void draw_stored(const DrawArgs& d) {
  if (!d.sign_shift) return draw_pairs<kSampler, Words::kPacked>(d);
  d.carried ? draw_pairs<kSampler, Words::kApart>(d) : draw_pairs<kSampler, Words::kJoined>(d);
}

void avx512_draw(const DrawArgs& d) {
  if (d.sampler == 0 && d.factors) {
    d.sign_shift ? draw_joined<false>(d) : draw_joined<true>(d);
  } else if (d.sampler == 0) {
    draw_pairs<0, Words::kApart>(d);
  } else if (d.sampler == 1) {
    draw_stored<1>(d);
  } else {
    draw_stored<2>(d);
  }
}

}  // namespace

}  // namespace reluflow

#endif
