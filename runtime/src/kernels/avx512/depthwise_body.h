// Depthwise channels of the AVX-512 kernels: the words are those of sums/depthwise.h.
//
// In an unnamed namespace, as all bodies: nothing compiled for AVX-512 may be linked in elsewhere.
#ifndef RELUFLOW_KERNELS_AVX512_DEPTHWISE_BODY_H
#define RELUFLOW_KERNELS_AVX512_DEPTHWISE_BODY_H

#include <immintrin.h>

#include <cstdint>

#include "kernels/avx512/joined_body.h"
#include "kernels/kernels.h"
#include "kernels/portable/depthwise_body.h"

namespace reluflow {

namespace {

/// Lanes [from, to) of 16, cut to the vector.
__attribute__((always_inline)) inline __mmask16 lanes_between(int64_t from, int64_t to) {
  const uint32_t below = to >= 16 ? 0xffffu : to <= 0 ? 0u : (1u << to) - 1u;
  const uint32_t before = from >= 16 ? 0xffffu : from <= 0 ? 0u : (1u << from) - 1u;
  return static_cast<__mmask16>(below & ~before);
}

/// Quantised values of which the low halves matter: NaN becomes 0x80000000, whose low half is 0.
struct HalfQuantiser {
  __m512 scale;
  __m512 low;
  __m512 high;

  explicit HalfQuantiser(const PackWordsArgs& p)
      : scale(_mm512_set1_ps(p.scale)),
        low(_mm512_set1_ps(-p.limit)),
        high(_mm512_set1_ps(p.limit)) {}

  /// The second operand is the result where the comparison is void: NaN stays.
  __attribute__((always_inline)) __m512i operator()(__m512 x) const {
    const __m512 t = _mm512_mul_ps(x, scale);
    return _mm512_cvtps_epi32(_mm512_min_ps(high, _mm512_max_ps(low, t)));
  }
};

__attribute__((always_inline)) inline __m512i join_halves(__m512i low, __m512i high) {
  return _mm512_mask_blend_epi16(0xaaaaaaaau, low, _mm512_slli_epi32(high, 16));
}

/// Which pixels of a row lie in each of its vectors: kept for the first vectors, since most rows
/// have no more.
struct RowMasks {
  static constexpr int64_t kKept = 16;
  int64_t begin;  ///< pixels [begin, end) of the padded row
  int64_t end;
  __mmask16 kept[kKept];

  RowMasks(const PackWordsArgs& p, int64_t vectors) : begin(p.pad), end(p.pad + p.width) {
    for (int64_t v = 0; v < kKept && v < vectors; ++v) kept[v] = compute(v);
  }
  __attribute__((always_inline)) __mmask16 operator[](int64_t v) const {
    return v < kKept ? kept[v] : compute(v);
  }

 private:
  __mmask16 compute(int64_t v) const { return lanes_between(begin - 16 * v, end - 16 * v); }
};

/// The rows of words, one after the other; in registers, since stores could alias the arguments.
class RowWalk {
 public:
  explicit RowWalk(const PackWordsArgs& p)
      : x_(p.x), height_(p.height), stride_(p.stride), step_(p.row_step), row_(p.first_row) {}

  /// The row `behind` rows further on; null for zeros.
  __attribute__((always_inline)) const float* row(int64_t behind) const {
    const uint64_t row = static_cast<uint64_t>(row_ + behind);
    return row < static_cast<uint64_t>(height_) ? x_ + (row_ + behind) * stride_ : nullptr;
  }
  __attribute__((always_inline)) void next() { row_ += step_; }

 private:
  const float* x_;
  int64_t height_;
  int64_t stride_;
  int64_t step_;
  int64_t row_;
};

/// Lanes in the padding are not read. A missing row reads no lane of another one: a load of no
/// lanes from nowhere would be right, but slow.
void avx512_pack_words(const PackWordsArgs& p) {
  const HalfQuantiser quantiser(p);
  const int64_t n = p.n;
  const int64_t pad = p.pad;
  const bool pairs_rows = p.pairs_rows;
  const RowMasks masks(p, n / 16);
  RowWalk walk(p);
  int32_t* out = p.out;
  for (int64_t r = p.rows; r > 0; --r, walk.next(), out += n) {
    const float* a = walk.row(0);
    const float* b = pairs_rows ? walk.row(1) : nullptr;
    const __mmask16 has_a = a ? 0xffff : 0;
    const __mmask16 has_b = b ? 0xffff : 0;
    a = (a ? a : b ? b : p.x) - pad;
    b = b ? b - pad : a;
    for (int64_t i = 0; i < n; i += 16) {
      const __mmask16 in = masks[i / 16];
      const __m512i low = quantiser(_mm512_maskz_loadu_ps(in & has_a, a + i));
      const __m512i high = quantiser(_mm512_maskz_loadu_ps(in & has_b, b + i));
      _mm512_storeu_si512(out + i, join_halves(low, high));
    }
  }
}

void avx512_pack_neighbours(const PackWordsArgs& p) {
  const __m512i halves =
      _mm512_set_epi16(62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26,
                       24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const HalfQuantiser quantiser(p);
  const int64_t n = p.n;
  const int64_t pad = p.pad;
  const int64_t pixels = pad + p.width;
  const RowMasks masks(p, n / 8);
  RowWalk walk(p);
  int32_t* out = p.out;
  for (int64_t r = p.rows; r > 0; --r, walk.next(), out += n) {
    const float* a = walk.row(0);
    const __mmask16 has_a = a ? 0xffff : 0;
    a = (a ? a : p.x) - pad;
    for (int64_t i = 0; i < n; i += 16) {
      const __mmask16 in = masks[i / 8] & has_a;
      const __mmask16 next = masks[i / 8 + 1] & has_a;
      const float* from = a + 2 * i;
      const __m512i low = quantiser(_mm512_maskz_loadu_ps(in, 2 * i < pixels ? from : a));
      __m512i high = _mm512_setzero_si512();
      if (2 * i + 16 < pixels) high = quantiser(_mm512_maskz_loadu_ps(next, from + 16));
      _mm512_storeu_si512(out + i, _mm512_permutex2var_epi16(low, halves, high));
    }
  }
}

__attribute__((always_inline)) inline int32_t weight_pair(const int16_t* w) {
  int32_t pair;
  __builtin_memcpy(&pair, w, sizeof pair);
  return pair;
}

/// 16 output pixels.
struct Wide {
  using Ints = __m512i;
  static constexpr int kPixels = 16;
  __attribute__((always_inline)) static Ints zero() { return _mm512_setzero_si512(); }
  __attribute__((always_inline)) static Ints load(const int32_t* x) {
    return _mm512_loadu_si512(x);
  }
  __attribute__((always_inline)) static Ints spread(const int16_t* w) {
    return _mm512_set1_epi32(weight_pair(w));
  }
  __attribute__((always_inline)) static void split(Ints* sum, Ints* high) {
    *high = _mm512_add_epi32(*high, _mm512_srai_epi32(*sum, kHighBits));
    *sum = _mm512_and_si512(*sum, _mm512_set1_epi32((1 << kHighBits) - 1));
  }
  __attribute__((always_inline)) static __m512 rounded(Ints sum) { return _mm512_cvtepi32_ps(sum); }
  __attribute__((always_inline)) static __m512 rounded(Ints sum, Ints high) {
    return joined16(sum, high);
  }
  __attribute__((always_inline)) static void store(const DepthwiseArgs& d, __m512 sum, float* out,
                                                   __mmask16 valid) {
    __m512 y = _mm512_mul_ps(sum, _mm512_set1_ps(d.scale_a));
    y = _mm512_mul_ps(y, _mm512_set1_ps(d.scale_b));
    if (d.bias) y = _mm512_add_ps(y, _mm512_set1_ps(*d.bias));
    if (d.z) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(valid, d.z + (out - d.out)));
    if (d.clips) {
      y = _mm512_min_ps(_mm512_set1_ps(d.high), _mm512_max_ps(_mm512_set1_ps(d.low), y));
    }
    _mm512_mask_storeu_ps(out, valid, y);
  }
};

/// 8 output pixels.
struct Half {
  using Ints = __m256i;
  static constexpr int kPixels = 8;
  __attribute__((always_inline)) static Ints zero() { return _mm256_setzero_si256(); }
  __attribute__((always_inline)) static Ints load(const int32_t* x) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
  }
  __attribute__((always_inline)) static Ints spread(const int16_t* w) {
    return _mm256_set1_epi32(weight_pair(w));
  }
  __attribute__((always_inline)) static void split(Ints* sum, Ints* high) {
    *high = _mm256_add_epi32(*high, _mm256_srai_epi32(*sum, kHighBits));
    *sum = _mm256_and_si256(*sum, _mm256_set1_epi32((1 << kHighBits) - 1));
  }
  __attribute__((always_inline)) static __m256 rounded(Ints sum) { return _mm256_cvtepi32_ps(sum); }
  __attribute__((always_inline)) static __m256 rounded(Ints sum, Ints high) {
    return _mm512_castps512_ps256(
        joined16(_mm512_castsi256_si512(sum), _mm512_castsi256_si512(high)));
  }
  __attribute__((always_inline)) static void store(const DepthwiseArgs& d, __m256 sum, float* out,
                                                   __mmask16 pixels) {
    const __mmask8 valid = static_cast<__mmask8>(pixels);
    __m256 y = _mm256_mul_ps(sum, _mm256_set1_ps(d.scale_a));
    y = _mm256_mul_ps(y, _mm256_set1_ps(d.scale_b));
    if (d.bias) y = _mm256_add_ps(y, _mm256_set1_ps(*d.bias));
    if (d.z) y = _mm256_add_ps(y, _mm256_maskz_loadu_ps(valid, d.z + (out - d.out)));
    if (d.clips) {
      y = _mm256_min_ps(_mm256_set1_ps(d.high), _mm256_max_ps(_mm256_set1_ps(d.low), y));
    }
    _mm256_mask_storeu_ps(out, valid, y);
  }
};

#define RELUFLOW_DEPTHWISE_DOT(sum, w, x) asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x))

/// Up to four vectors of words and where their results go.
struct Strips {
  const int32_t* words;
  int64_t word_step;  ///< from one vector to the next
  float* out;
  int64_t out_step;
  __mmask16 valid;       ///< pixels of all vectors but the last
  __mmask16 last_valid;  ///< pixels of the last
  bool second;           ///< whether all vectors but the last have a second output row
  bool last_second;      ///< whether the last one has
};

#define RELUFLOW_STRIP_ZERO(v) \
  auto a##v = Vector::zero();  \
  auto b##v = Vector::zero();  \
  auto ha##v = Vector::zero(); \
  auto hb##v = Vector::zero(); \
  const int32_t* const x##v = s.words + (V > v ? v : 0) * s.word_step

#define RELUFLOW_STRIP_DOT(v)                                     \
  if constexpr (V > v) {                                          \
    const auto x = Vector::load(x##v + at);                       \
    RELUFLOW_DEPTHWISE_DOT(a##v, wa, x);                          \
    if constexpr (kRows > 1) RELUFLOW_DEPTHWISE_DOT(b##v, wb, x); \
  }

#define RELUFLOW_STRIP_SPLIT(v)                            \
  if constexpr (V > v) {                                   \
    Vector::split(&a##v, &ha##v);                          \
    if constexpr (kRows > 1) Vector::split(&b##v, &hb##v); \
  }

#define RELUFLOW_STRIP_ROUNDED(s, h) (kWide ? Vector::rounded(s, h) : Vector::rounded(s))

#define RELUFLOW_STRIP_STORE(v)                                                      \
  if constexpr (V > v) {                                                             \
    float* out = s.out + v * s.out_step;                                             \
    const __mmask16 valid = V == v + 1 ? s.last_valid : s.valid;                     \
    Vector::store(d, RELUFLOW_STRIP_ROUNDED(a##v, ha##v), out, valid);               \
    if constexpr (kRows > 1) {                                                       \
      if (V == v + 1 ? s.last_second : s.second) {                                   \
        Vector::store(d, RELUFLOW_STRIP_ROUNDED(b##v, hb##v), out + d.width, valid); \
      }                                                                              \
    }                                                                                \
  }

/// V vectors of words; up to eight sums, so that none waits for another.
template <class Vector, int kRows, int V, bool kWide>
__attribute__((always_inline)) inline void add_strips(const DepthwiseArgs& d, const Strips& s) {
  RELUFLOW_STRIP_ZERO(0);
  RELUFLOW_STRIP_ZERO(1);
  RELUFLOW_STRIP_ZERO(2);
  RELUFLOW_STRIP_ZERO(3);
  const int16_t* w = d.weights;
  int64_t run = 0;
  for (int64_t t = 0; t < d.n; ++t, w += d.weight_step) {
    if (kWide && t == d.ends[run]) {
      ++run;
      RELUFLOW_STRIP_SPLIT(0)
      RELUFLOW_STRIP_SPLIT(1)
      RELUFLOW_STRIP_SPLIT(2)
      RELUFLOW_STRIP_SPLIT(3)
    }
    const int64_t at = d.offsets[t];
    const auto wa = Vector::spread(w);
    const auto wb = Vector::spread(kRows > 1 ? w + d.n * d.weight_step : w);
    RELUFLOW_STRIP_DOT(0)
    RELUFLOW_STRIP_DOT(1)
    RELUFLOW_STRIP_DOT(2)
    RELUFLOW_STRIP_DOT(3)
    static_cast<void>(wb);
  }
  RELUFLOW_STRIP_STORE(0)
  RELUFLOW_STRIP_STORE(1)
  RELUFLOW_STRIP_STORE(2)
  RELUFLOW_STRIP_STORE(3)
}

template <class Vector, int kRows, bool kWide>
__attribute__((always_inline)) inline void add_strips(const DepthwiseArgs& d, const Strips& s,
                                                      int64_t vectors) {
  if (vectors == 1) {
    add_strips<Vector, kRows, 1, kWide>(d, s);
  } else if (vectors == 2) {
    add_strips<Vector, kRows, 2, kWide>(d, s);
  } else if (vectors == 3) {
    add_strips<Vector, kRows, 3, kWide>(d, s);
  } else {
    add_strips<Vector, kRows, 4, kWide>(d, s);
  }
}

/// Rows of several vectors: up to four vectors of one pass side by side.
template <int kRows, bool kWide>
void long_rows(const DepthwiseArgs& d) {
  for (int64_t row = 0; row < d.height; row += kRows) {
    const bool second = row + 1 < d.height;
    for (int64_t x = 0; x < d.width; x += 64) {
      const int64_t vectors = d.width - x >= 64 ? 4 : (d.width - x + 15) / 16;
      const Strips s{d.words + row / kRows * d.pass_step + x,
                     16,
                     d.out + row * d.width + x,
                     16,
                     0xffff,
                     first_lanes(d.width - x - 16 * (vectors - 1)),
                     second,
                     second};
      add_strips<Wide, kRows, kWide>(d, s, vectors);
    }
  }
}

/// Rows of one vector: up to four passes at once.
template <class Vector, int kRows, bool kWide>
void short_rows(const DepthwiseArgs& d) {
  const int64_t passes = (d.height + kRows - 1) / kRows;
  const __mmask16 valid = first_lanes(d.width);
  for (int64_t pass = 0; pass < passes; pass += 4) {
    const int64_t vectors = passes - pass >= 4 ? 4 : passes - pass;
    const Strips s{d.words + pass * d.pass_step,
                   d.pass_step,
                   d.out + pass * kRows * d.width,
                   kRows * d.width,
                   valid,
                   valid,
                   true,
                   (pass + vectors) * kRows <= d.height};
    add_strips<Vector, kRows, kWide>(d, s, vectors);
  }
}

template <int kRows, bool kWide>
void depthwise_rows(const DepthwiseArgs& d) {
  if (d.width <= Half::kPixels) {
    short_rows<Half, kRows, kWide>(d);
  } else if (d.width <= Wide::kPixels) {
    short_rows<Wide, kRows, kWide>(d);
  } else {
    long_rows<kRows, kWide>(d);
  }
}

void avx512_depthwise(const DepthwiseArgs& d) {
  if (d.column_step != 1) {
    common_depthwise(d);
  } else if (d.rows == 2) {
    d.runs > 1 ? depthwise_rows<2, true>(d) : depthwise_rows<2, false>(d);
  } else {
    d.runs > 1 ? depthwise_rows<1, true>(d) : depthwise_rows<1, false>(d);
  }
}

}  // namespace

}  // namespace reluflow

#endif
