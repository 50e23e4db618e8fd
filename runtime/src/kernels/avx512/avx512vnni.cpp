// AVX-512 with VNNI: one vpdpwssd adds 32 products.
#include <immintrin.h>

#include "kernels/avx2/blocked_hash_body.h"
#include "kernels/avx2/fixed_draw_body.h"
#include "kernels/avx512/blocked_hash_body.h"
#include "kernels/avx512/depthwise_body.h"
#include "kernels/avx512/draw_body.h"
#include "kernels/avx512/fixed16_body.h"
#include "kernels/avx512/fixed_body.h"
#include "kernels/avx512/hash_body.h"
#include "kernels/avx512/joined_body.h"
#include "kernels/avx512/mix_body.h"
#include "kernels/avx512/rows_body.h"
#include "kernels/avx512/store_body.h"
#include "kernels/kernels.h"
#include "kernels/portable/table_body.h"

namespace reluflow {

namespace {

// The accumulators are named variables and the product is inline assembly on purpose: g++ 12 keeps
// arrays of vectors in memory, and puts a register copy around every _mm512_dpwssd_epi32.
#define RELUFLOW_DOT(sum, w, x)      \
  asm("vpdpwssd %2%{1to16%}, %1, %0" \
      : "+v"(sum)                    \
      : "v"(w), "m"(*reinterpret_cast<const int32_t*>(x)))

#define RELUFLOW_ROW_ZERO(p)                \
  __m512i s##p##0 = _mm512_setzero_si512(); \
  __m512i s##p##1 = _mm512_setzero_si512(); \
  __m512i s##p##2 = _mm512_setzero_si512(); \
  __m512i s##p##3 = _mm512_setzero_si512()

#define RELUFLOW_ROW_DOT(p)                            \
  if constexpr (P > p) {                               \
    const char* x = x##p + at;                         \
    RELUFLOW_DOT(s##p##0, w0, x);                      \
    if constexpr (V > 1) RELUFLOW_DOT(s##p##1, w1, x); \
    if constexpr (V > 2) RELUFLOW_DOT(s##p##2, w2, x); \
    if constexpr (V > 3) RELUFLOW_DOT(s##p##3, w3, x); \
  }

#define RELUFLOW_ROW_OUT(p)                       \
  if constexpr (P > p) {                          \
    flush(t, p, 0, s##p##0);                      \
    if constexpr (V > 1) flush(t, p, 1, s##p##1); \
    if constexpr (V > 2) flush(t, p, 2, s##p##2); \
    if constexpr (V > 3) flush(t, p, 3, s##p##3); \
  }

__attribute__((always_inline)) inline void flush(const TileArgs& t, int p, int v, __m512i sum) {
  const int at = p * kTileLanes + v * kLanes;
  if (t.mode == kTileRaw) {
    _mm512_storeu_si512(static_cast<int32_t*>(t.out) + at, sum);
    return;
  }
  float* out = static_cast<float*>(t.out) + at;
  __m512 value = _mm512_cvtepi32_ps(sum);
  if (t.mode == kTileAdd) value = _mm512_add_ps(_mm512_loadu_ps(out), value);
  _mm512_storeu_ps(out, value);
}

__attribute__((always_inline)) inline void fetch(const Ahead& ahead, int64_t at) {
  _mm_prefetch(ahead.words + at, _MM_HINT_T0);
  _mm_prefetch(ahead.factors + at, _MM_HINT_T0);
  asm volatile("prefetchw %0" : : "m"(ahead.out[at]));
}

/// What draw_joined does to one vector, in three registers: a tile leaves no more.
template <int V, bool kPacked>
__attribute__((always_inline)) inline void draw_vector(const Ahead& d, int64_t number) {
  const auto* words = reinterpret_cast<const __m512i*>(d.draw_words) + number;
  const auto* factors = reinterpret_cast<const __m512i*>(d.draw_factors) + (kPacked ? 0 : number);
  const auto* u = reinterpret_cast<const __m512i*>(d.shifted) + number % V;
  auto* out = reinterpret_cast<__m512i*>(d.draw_out) + number;
  static constexpr uint32_t kN = 1u << 13 | 1u << 29;
  static constexpr uint32_t kOne = 1u << 16 | 1u;
  __m512i a, b, rest;
  if constexpr (kPacked) {
    asm("vpsllw $3, %[words], %[a]\n\t"
        "vpbroadcastd %[rest_bits], %[rest]\n\t"
        "vpaddw %[u], %[a], %[a]\n\t"
        "vpsrlw $3, %[words], %[b]\n\t"
        "vpternlogd $0xea, %[n]%{1to16%}, %[rest], %[a]\n\t"
        "vpaddw %[b], %[a], %[a]\n\t"
        "vmovdqu64 %[words], %[b]\n\t"
        "vpternlogd $0xba, %[one]%{1to16%}, %[rest], %[a]\n\t"
        "vpermw %[factors], %[b], %[b]\n\t"
        "vpmulhrsw %[b], %[a], %[a]\n\t"
        "vmovdqu64 %[a], %[out]"
        : [a] "=&v"(a), [b] "=&v"(b), [rest] "=&v"(rest), [out] "=m"(*out)
        : [words] "m"(*words), [factors] "m"(*factors), [u] "m"(*u), [rest_bits] "m"(d.rest),
          [n] "m"(kN), [one] "m"(kOne));
    return;
  }
  asm("vpsllw $5, %[words], %[a]\n\t"
      "vpbroadcastd %[rest_bits], %[rest]\n\t"
      "vpaddw %[u], %[a], %[a]\n\t"
      "vpsrlw $3, %[words], %[b]\n\t"
      "vpternlogd $0xea, %[n]%{1to16%}, %[rest], %[a]\n\t"
      "vpaddw %[b], %[a], %[a]\n\t"
      "vpternlogd $0xba, %[one]%{1to16%}, %[rest], %[a]\n\t"
      "vpmulhrsw %[factors], %[a], %[a]\n\t"
      "vmovdqu64 %[a], %[out]"
      : [a] "=&v"(a), [b] "=&v"(b), [rest] "=&v"(rest), [out] "=m"(*out)
      : [words] "m"(*words), [factors] "m"(*factors), [u] "m"(*u), [rest_bits] "m"(d.rest),
        [n] "m"(kN), [one] "m"(kOne));
}

/// P pixels times V vectors of output channels: 28 sums and 4 weight vectors fill all registers.
template <int P, int V, int kAhead>
void tile(const TileArgs& t) {
  const char* x0 = t.pixels[0];
  const char* x1 = t.pixels[P > 1 ? 1 : 0];
  const char* x2 = t.pixels[P > 2 ? 2 : 0];
  const char* x3 = t.pixels[P > 3 ? 3 : 0];
  const char* x4 = t.pixels[P > 4 ? 4 : 0];
  const char* x5 = t.pixels[P > 5 ? 5 : 0];
  const char* x6 = t.pixels[P > 6 ? 6 : 0];
  RELUFLOW_ROW_ZERO(0);
  RELUFLOW_ROW_ZERO(1);
  RELUFLOW_ROW_ZERO(2);
  RELUFLOW_ROW_ZERO(3);
  RELUFLOW_ROW_ZERO(4);
  RELUFLOW_ROW_ZERO(5);
  RELUFLOW_ROW_ZERO(6);
  const int64_t* taps = t.taps;
  const int64_t* end = taps + t.pairs;
  const int16_t* w = t.weights;
  for (; taps != end; ++taps, w += V * 2 * kLanes) {
    const int64_t at = *taps;
    if constexpr (kAhead > 0) fetch(*t.ahead, (taps - t.taps) * 64);
    const __m512i w0 = _mm512_loadu_si512(w);
    const __m512i w1 = V > 1 ? _mm512_loadu_si512(w + 32) : w0;
    const __m512i w2 = V > 2 ? _mm512_loadu_si512(w + 64) : w0;
    const __m512i w3 = V > 3 ? _mm512_loadu_si512(w + 96) : w0;
    RELUFLOW_ROW_DOT(0)
    RELUFLOW_ROW_DOT(1)
    RELUFLOW_ROW_DOT(2)
    RELUFLOW_ROW_DOT(3)
    RELUFLOW_ROW_DOT(4)
    RELUFLOW_ROW_DOT(5)
    RELUFLOW_ROW_DOT(6)
    if constexpr (kAhead > 1) draw_vector<V, (kAhead > 2)>(*t.ahead, taps - t.taps);
  }
  RELUFLOW_ROW_OUT(0)
  RELUFLOW_ROW_OUT(1)
  RELUFLOW_ROW_OUT(2)
  RELUFLOW_ROW_OUT(3)
  RELUFLOW_ROW_OUT(4)
  RELUFLOW_ROW_OUT(5)
  RELUFLOW_ROW_OUT(6)
}

#define RELUFLOW_ROW_SPLIT(p, first)                      \
  if constexpr (P > p) {                                  \
    split<first>(r, p, 0, &s##p##0);                      \
    if constexpr (V > 1) split<first>(r, p, 1, &s##p##1); \
    if constexpr (V > 2) split<first>(r, p, 2, &s##p##2); \
    if constexpr (V > 3) split<first>(r, p, 3, &s##p##3); \
  }

#define RELUFLOW_ROWS_SPLIT(first) \
  RELUFLOW_ROW_SPLIT(0, first)     \
  RELUFLOW_ROW_SPLIT(1, first)     \
  RELUFLOW_ROW_SPLIT(2, first)     \
  RELUFLOW_ROW_SPLIT(3, first)     \
  RELUFLOW_ROW_SPLIT(4, first)     \
  RELUFLOW_ROW_SPLIT(5, first)     \
  RELUFLOW_ROW_SPLIT(6, first)

/// Moves the high part of a sum to memory; the low part is what the next run goes on from.
template <bool kFirst>
__attribute__((always_inline)) inline void split(const RunsArgs& r, int p, int v, __m512i* sum) {
  int32_t* to = r.high + p * kTileLanes + v * kLanes;
  __m512i high = _mm512_srai_epi32(*sum, kHighBits);
  if (!kFirst) high = _mm512_add_epi32(high, _mm512_load_si512(to));
  _mm512_store_si512(to, high);
  *sum = _mm512_and_si512(*sum, _mm512_set1_epi32((1 << kHighBits) - 1));
}

/// The tile over several runs: sums stay in registers from one to the next.
template <int P, int V>
void runs_tile(const RunsArgs& r) {
  const char* x0 = r.pixels[0];
  const char* x1 = r.pixels[P > 1 ? 1 : 0];
  const char* x2 = r.pixels[P > 2 ? 2 : 0];
  const char* x3 = r.pixels[P > 3 ? 3 : 0];
  const char* x4 = r.pixels[P > 4 ? 4 : 0];
  const char* x5 = r.pixels[P > 5 ? 5 : 0];
  const char* x6 = r.pixels[P > 6 ? 6 : 0];
  RELUFLOW_ROW_ZERO(0);
  RELUFLOW_ROW_ZERO(1);
  RELUFLOW_ROW_ZERO(2);
  RELUFLOW_ROW_ZERO(3);
  RELUFLOW_ROW_ZERO(4);
  RELUFLOW_ROW_ZERO(5);
  RELUFLOW_ROW_ZERO(6);
  const int64_t* taps = r.taps;
  const int16_t* w = r.weights;
  const char* ahead = r.ahead;
  for (int64_t run = 0;;) {
    const int64_t* end = r.taps + r.ends[run];
    for (; taps != end; ++taps, w += V * 2 * kLanes) {
      const int64_t at = *taps;
      _mm_prefetch(ahead, _MM_HINT_T1);
      ahead += r.ahead_step;
      const __m512i w0 = _mm512_loadu_si512(w);
      const __m512i w1 = V > 1 ? _mm512_loadu_si512(w + 32) : w0;
      const __m512i w2 = V > 2 ? _mm512_loadu_si512(w + 64) : w0;
      const __m512i w3 = V > 3 ? _mm512_loadu_si512(w + 96) : w0;
      RELUFLOW_ROW_DOT(0)
      RELUFLOW_ROW_DOT(1)
      RELUFLOW_ROW_DOT(2)
      RELUFLOW_ROW_DOT(3)
      RELUFLOW_ROW_DOT(4)
      RELUFLOW_ROW_DOT(5)
      RELUFLOW_ROW_DOT(6)
    }
    if (++run == r.runs) break;
    if (run == 1) {
      RELUFLOW_ROWS_SPLIT(true)
    } else {
      RELUFLOW_ROWS_SPLIT(false)
    }
  }
  const TileArgs t{nullptr, nullptr, nullptr, 0, kTileRaw, r.low};
  RELUFLOW_ROW_OUT(0)
  RELUFLOW_ROW_OUT(1)
  RELUFLOW_ROW_OUT(2)
  RELUFLOW_ROW_OUT(3)
  RELUFLOW_ROW_OUT(4)
  RELUFLOW_ROW_OUT(5)
  RELUFLOW_ROW_OUT(6)
}

using Tile = void (*)(const TileArgs&);

#define RELUFLOW_TILES(p) \
  {tile<p, 1, kAhead>, tile<p, 2, kAhead>, tile<p, 3, kAhead>, tile<p, 4, kAhead>}

template <int kAhead>
void any_tile(int pixels, int vectors, const TileArgs& args) {
  static constexpr Tile kTiles[7][4] = {RELUFLOW_TILES(1), RELUFLOW_TILES(2), RELUFLOW_TILES(3),
                                        RELUFLOW_TILES(4), RELUFLOW_TILES(5), RELUFLOW_TILES(6),
                                        RELUFLOW_TILES(7)};
  kTiles[pixels - 1][vectors - 1](args);
}

void avx512_tile(int pixels, int vectors, const TileArgs& args) {
  if (!args.ahead) {
    any_tile<0>(pixels, vectors, args);
  } else if (!args.ahead->draw_words) {
    any_tile<1>(pixels, vectors, args);
  } else if (!args.ahead->packed) {
    any_tile<2>(pixels, vectors, args);
  } else {
    any_tile<3>(pixels, vectors, args);
  }
}

#define RELUFLOW_RUNS(p) {runs_tile<p, 1>, runs_tile<p, 2>, runs_tile<p, 3>, runs_tile<p, 4>}

void avx512_tile_runs(int pixels, int vectors, const RunsArgs& args) {
  static constexpr void (*kTiles[7][4])(const RunsArgs&) = {
      RELUFLOW_RUNS(1), RELUFLOW_RUNS(2), RELUFLOW_RUNS(3), RELUFLOW_RUNS(4),
      RELUFLOW_RUNS(5), RELUFLOW_RUNS(6), RELUFLOW_RUNS(7)};
  kTiles[pixels - 1][vectors - 1](args);
}

void avx512_join(const int32_t* low, const int32_t* high, int pixels, int lanes, bool first,
                 float* sums) {
  for (int p = 0; p < pixels; ++p) {
    for (int at = p * kTileLanes; at < p * kTileLanes + lanes; at += kLanes) {
      __m512 sum = joined16(_mm512_loadu_si512(low + at), _mm512_loadu_si512(high + at));
      if (!first) sum = _mm512_add_ps(_mm512_loadu_ps(sums + at), sum);
      _mm512_storeu_ps(sums + at, sum);
    }
  }
}

}  // namespace

const Kernels& avx512vnni_kernels() {
  static const Kernels table = [] {
    Kernels k = common_kernels<avx512_tile>("avx512vnni", 7);
    k.max_abs_bits = avx512_max_abs_bits;
    k.tile_draws = true;
    k.tile_runs = avx512_tile_runs;
    k.join = avx512_join;
    k.pack_row = avx512_pack_row;
    k.store_planar = avx512_store_planar;
    k.draw = avx512_draw;
    k.pack_words = avx512_pack_words;
    k.pack_neighbours = avx512_pack_neighbours;
    k.depthwise = avx512_depthwise;
    if (has_hash_instructions()) {
      k.hash = gfni_hash<float>;
      k.hash_rows = gfni_hash_rows<float>;
      k.hash_doubles = gfni_hash<double>;
      k.hash_double_rows = gfni_hash_rows<double>;
    }
    k.fixed_tile = avx512_fixed_tile;
    k.fixed_depthwise = avx512_fixed_depthwise;
    k.fixed_arrange = avx512_fixed_arrange;
    k.fixed_sums = avx512_fixed_sums;
    k.fixed_pack = avx512_fixed_pack;
    k.fixed_draw = avx2_fixed_draw;
    k.bytes_mix = avx512_mix<uint8_t>;
    k.shorts_mix = avx512_mix<int16_t>;
    if (__builtin_cpu_supports("avx512vbmi")) {
      k.fixed_draw = vbmi_fixed_draw;
      k.fixed_table = vbmi_fixed_table;
    }
    k.fixed16_store = avx512_fixed16_store;
    k.fixed16_depthwise = avx512_fixed16_depthwise;
    k.fixed16_pack = avx512_fixed16_pack;
    k.fixed16_max = avx512_fixed16_max;
    k.blocked_hash = has_gfni() ? gfni_blocked_hash : avx2_blocked_hash;
    return k;
  }();
  return table;
}

}  // namespace reluflow
