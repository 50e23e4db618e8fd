// Chains of bytes: one vpdpbusd adds 64 products of bytes.
#ifndef RELUFLOW_KERNELS_AVX512_FIXED_BODY_H
#define RELUFLOW_KERNELS_AVX512_FIXED_BODY_H

#include <immintrin.h>

#include "kernels/fixed_args.h"
#include "kernels/portable/fixed_body.h"

namespace reluflow {

namespace {

/// The sums of one vector of output channels, scaled; z as whole numbers.
template <bool kAdjusts>
__attribute__((always_inline)) inline __m512i fixed_scaled(const FixedStore& s, int at, __m512i t,
                                                           const __m512i* z) {
  if constexpr (kAdjusts) {
    t = _mm512_add_epi32(t, _mm512_load_si512(s.before + at));
    const __m512i most = _mm512_load_si512(s.most + at);
    const __m512i down = _mm512_load_si512(s.down + at);
    t = _mm512_max_epi32(t, _mm512_sub_epi32(_mm512_setzero_si512(), most));
    t = _mm512_sllv_epi32(_mm512_min_epi32(t, most), _mm512_load_si512(s.up + at));
    const __m512i half = _mm512_srli_epi32(_mm512_sllv_epi32(_mm512_set1_epi32(1), down), 1);
    t = _mm512_srav_epi32(_mm512_add_epi32(t, half), down);
  }
  t = _mm512_add_epi32(t, _mm512_load_si512(s.add + at));
  if (z) t = _mm512_add_epi32(t, _mm512_sllv_epi32(*z, _mm512_load_si512(s.z_shift + at)));
  return _mm512_srav_epi32(t, _mm512_load_si512(s.shift + at));
}

__attribute__((always_inline)) inline __m512i fixed_scale(const FixedStore& s, int at, __m512i t,
                                                          const __m512i* z) {
  return s.adjusts ? fixed_scaled<true>(s, at, t, z) : fixed_scaled<false>(s, at, t, z);
}

/// Four vectors of scaled sums as clamped bytes: lane i of vector v becomes byte i / 4 * 16 + v * 4
/// + i % 4. Packing saturates, so that the bounds can be those of bytes.
__attribute__((always_inline)) inline __m512i fixed_bytes(const FixedStore& s, __m512i a, __m512i b,
                                                          __m512i c, __m512i d) {
  const __m512i t = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
  return _mm512_min_epu8(_mm512_max_epu8(t, _mm512_set1_epi8(static_cast<char>(s.low))),
                         _mm512_set1_epi8(static_cast<char>(s.high)));
}

// The sums are named variables and the product is inline assembly on purpose, as in the tile of
// 16-bit pairs: g++ 12 copies every _mm512_dpbusd_epi32 through memory.
#define RELUFLOW_BYTES_DOT(sum, w, x) asm("vpdpbusd %1, %2, %0" : "+v"(sum) : "v"(w), "v"(x))

#define RELUFLOW_BYTES_ZERO(p)              \
  __m512i s##p##0 = _mm512_setzero_si512(); \
  __m512i s##p##1 = _mm512_setzero_si512(); \
  __m512i s##p##2 = _mm512_setzero_si512(); \
  __m512i s##p##3 = _mm512_setzero_si512(); \
  const uint8_t* x##p = args.pixels[P > p ? p : 0]

#define RELUFLOW_BYTES_ROW(p)                                \
  if constexpr (P > p) {                                     \
    int32_t quad;                                            \
    __builtin_memcpy(&quad, x##p + at, sizeof quad);         \
    const __m512i x = _mm512_set1_epi32(quad);               \
    RELUFLOW_BYTES_DOT(s##p##0, w0, x);                      \
    if constexpr (V > 1) RELUFLOW_BYTES_DOT(s##p##1, w1, x); \
    if constexpr (V > 2) RELUFLOW_BYTES_DOT(s##p##2, w2, x); \
    if constexpr (V > 3) RELUFLOW_BYTES_DOT(s##p##3, w3, x); \
  }

#define RELUFLOW_BYTES_OUT(p) \
  if constexpr (P > p) fixed_store<V>(args, p, order, s##p##0, s##p##1, s##p##2, s##p##3)

/// Vector v of the bytes of z, as whole numbers.
__attribute__((always_inline)) inline __m512i fixed_z(const uint8_t* z, int v, int lanes) {
  if (lanes >= 16 * v + 16) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(z + 16 * v)));
  }
  const __mmask16 some = static_cast<__mmask16>((1u << (lanes - 16 * v)) - 1u);
  return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(some, z + 16 * v));
}

template <int V>
__attribute__((always_inline)) inline void fixed_store(const FixedTileArgs& args, int p,
                                                       __m512i order, __m512i s0, __m512i s1,
                                                       __m512i s2, __m512i s3) {
  if (args.sums) {
    int32_t* to = args.sums + 64 * p;
    _mm512_storeu_si512(to, s0);
    if constexpr (V > 1) _mm512_storeu_si512(to + 16, s1);
    if constexpr (V > 2) _mm512_storeu_si512(to + 32, s2);
    if constexpr (V > 3) _mm512_storeu_si512(to + 48, s3);
    return;
  }
  const FixedStore& s = *args.store;
  if (args.z) {
    const uint8_t* z = args.z[p];
    const __m512i z0 = fixed_z(z, 0, args.lanes);
    s0 = fixed_scale(s, 0, s0, &z0);
    if constexpr (V > 1) {
      const __m512i z1 = fixed_z(z, 1, args.lanes);
      s1 = fixed_scale(s, 16, s1, &z1);
    }
    if constexpr (V > 2) {
      const __m512i z2 = fixed_z(z, 2, args.lanes);
      s2 = fixed_scale(s, 32, s2, &z2);
    }
    if constexpr (V > 3) {
      const __m512i z3 = fixed_z(z, 3, args.lanes);
      s3 = fixed_scale(s, 48, s3, &z3);
    }
  } else {
    s0 = fixed_scale(s, 0, s0, nullptr);
    if constexpr (V > 1) s1 = fixed_scale(s, 16, s1, nullptr);
    if constexpr (V > 2) s2 = fixed_scale(s, 32, s2, nullptr);
    if constexpr (V > 3) s3 = fixed_scale(s, 48, s3, nullptr);
  }
  const __m512i bytes = _mm512_permutexvar_epi32(order, fixed_bytes(s, s0, s1, s2, s3));
  if (args.lanes == 64) {
    _mm512_storeu_si512(args.out[p], bytes);
  } else if (args.lanes == 32) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(args.out[p]), _mm512_castsi512_si256(bytes));
  } else if (args.lanes == 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(args.out[p]), _mm512_castsi512_si128(bytes));
  } else {
    _mm512_mask_storeu_epi8(args.out[p], (1ull << args.lanes) - 1, bytes);
  }
}

/// P pixels times V vectors of output channels: 24 sums, 4 weight vectors and a quad in flight.
template <int P, int V, bool kAhead>
void fixed_tile(const FixedTileArgs& args) {
  RELUFLOW_BYTES_ZERO(0);
  RELUFLOW_BYTES_ZERO(1);
  RELUFLOW_BYTES_ZERO(2);
  RELUFLOW_BYTES_ZERO(3);
  RELUFLOW_BYTES_ZERO(4);
  RELUFLOW_BYTES_ZERO(5);
  const int8_t* w = args.weights;
  const int32_t* end = args.offsets + args.quads;
  for (const int32_t* offset = args.offsets; offset != end; ++offset, w += 64 * V) {
    const int64_t at = *offset;
    const __m512i w0 = _mm512_loadu_si512(w);
    const __m512i w1 = V > 1 ? _mm512_loadu_si512(w + 64) : w0;
    const __m512i w2 = V > 2 ? _mm512_loadu_si512(w + 128) : w0;
    const __m512i w3 = V > 3 ? _mm512_loadu_si512(w + 192) : w0;
    RELUFLOW_BYTES_ROW(0)
    RELUFLOW_BYTES_ROW(1)
    RELUFLOW_BYTES_ROW(2)
    RELUFLOW_BYTES_ROW(3)
    RELUFLOW_BYTES_ROW(4)
    RELUFLOW_BYTES_ROW(5)
    if constexpr (kAhead) _mm_prefetch(args.ahead + 64 * (offset - args.offsets), _MM_HINT_T1);
  }
  // Bytes of vector v stand four by four in the lanes of 128 bits.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  RELUFLOW_BYTES_OUT(0);
  RELUFLOW_BYTES_OUT(1);
  RELUFLOW_BYTES_OUT(2);
  RELUFLOW_BYTES_OUT(3);
  RELUFLOW_BYTES_OUT(4);
  RELUFLOW_BYTES_OUT(5);
}

#define RELUFLOW_FIXED_TILES(p)                                                  \
  {fixed_tile<p, 1, kAhead>, fixed_tile<p, 2, kAhead>, fixed_tile<p, 3, kAhead>, \
   fixed_tile<p, 4, kAhead>}

template <bool kAhead>
void any_fixed_tile(int pixels, int vectors, const FixedTileArgs& args) {
  using Tile = void (*)(const FixedTileArgs&);
  static constexpr Tile kTiles[kFixedPixels][4] = {
      RELUFLOW_FIXED_TILES(1), RELUFLOW_FIXED_TILES(2), RELUFLOW_FIXED_TILES(3),
      RELUFLOW_FIXED_TILES(4), RELUFLOW_FIXED_TILES(5), RELUFLOW_FIXED_TILES(6)};
  kTiles[pixels - 1][vectors - 1](args);
}

void avx512_fixed_tile(int pixels, int vectors, const FixedTileArgs& args) {
  args.ahead ? any_fixed_tile<true>(pixels, vectors, args)
             : any_fixed_tile<false>(pixels, vectors, args);
}

/// Bytes of four columns side by side: 4 vectors of 16 channels, in order of `depthwise_channel`.
struct Columns {
  __m512i v0, v1, v2, v3;

  __attribute__((always_inline)) Columns(__m512i a, __m512i b, __m512i c, __m512i d) {
    const __m512i low_ab = _mm512_unpacklo_epi8(a, b);
    const __m512i high_ab = _mm512_unpackhi_epi8(a, b);
    const __m512i low_cd = _mm512_unpacklo_epi8(c, d);
    const __m512i high_cd = _mm512_unpackhi_epi8(c, d);
    v0 = _mm512_unpacklo_epi16(low_ab, low_cd);
    v1 = _mm512_unpackhi_epi16(low_ab, low_cd);
    v2 = _mm512_unpacklo_epi16(high_ab, high_cd);
    v3 = _mm512_unpackhi_epi16(high_ab, high_cd);
  }
};

__attribute__((always_inline)) inline Columns columns_at(const uint8_t* x, int64_t pixel,
                                                         __mmask64 lanes) {
  return {_mm512_maskz_loadu_epi8(lanes, x), _mm512_maskz_loadu_epi8(lanes, x + pixel),
          _mm512_maskz_loadu_epi8(lanes, x + 2 * pixel),
          _mm512_maskz_loadu_epi8(lanes, x + 3 * pixel)};
}

/// Scales 64 sums in order of `depthwise_channel` and stores them in order of the channels.
__attribute__((always_inline)) inline void depthwise_store(const FixedDepthwiseArgs& a, int64_t p,
                                                           __mmask64 lanes, __m512i s0, __m512i s1,
                                                           __m512i s2, __m512i s3) {
  const FixedStore& s = *a.permuted;
  if (a.z) {
    const __m512i zero = _mm512_setzero_si512();
    const Columns z(_mm512_maskz_loadu_epi8(lanes, a.z + p * a.out_step), zero, zero, zero);
    s0 = fixed_scale(s, 0, s0, &z.v0);
    s1 = fixed_scale(s, 16, s1, &z.v1);
    s2 = fixed_scale(s, 32, s2, &z.v2);
    s3 = fixed_scale(s, 48, s3, &z.v3);
  } else {
    s0 = fixed_scale(s, 0, s0, nullptr);
    s1 = fixed_scale(s, 16, s1, nullptr);
    s2 = fixed_scale(s, 32, s2, nullptr);
    s3 = fixed_scale(s, 48, s3, nullptr);
  }
  const __m512i bytes = fixed_bytes(s, s0, s1, s2, s3);
  if (a.lanes >= 64) {
    _mm512_storeu_si512(a.out + p * a.out_step, bytes);
  } else {
    _mm512_mask_storeu_epi8(a.out + p * a.out_step, lanes, bytes);
  }
}

#define RELUFLOW_COLUMNS_DOT(o)                                                            \
  if constexpr (N > o) {                                                                   \
    const auto* w = reinterpret_cast<const __m512i*>(weights) + ((i * N + o) * Q + q) * 4; \
    RELUFLOW_BYTES_DOT_MEMORY(s##o##0, w[0], columns.v0);                                  \
    RELUFLOW_BYTES_DOT_MEMORY(s##o##1, w[1], columns.v1);                                  \
    RELUFLOW_BYTES_DOT_MEMORY(s##o##2, w[2], columns.v2);                                  \
    RELUFLOW_BYTES_DOT_MEMORY(s##o##3, w[3], columns.v3);                                  \
  }

#define RELUFLOW_BYTES_DOT_MEMORY(sum, w, x) asm("vpdpbusd %1, %2, %0" : "+v"(sum) : "m"(w), "v"(x))

#define RELUFLOW_COLUMNS_ZERO(o)            \
  __m512i s##o##0 = _mm512_setzero_si512(); \
  __m512i s##o##1 = _mm512_setzero_si512(); \
  __m512i s##o##2 = _mm512_setzero_si512(); \
  __m512i s##o##3 = _mm512_setzero_si512()

#define RELUFLOW_COLUMNS_OUT(o)                                                                \
  if constexpr (N > o) {                                                                       \
    if (p + o < a.width) depthwise_store(a, p + o, lanes, s##o##0, s##o##1, s##o##2, s##o##3); \
  }

/// Q quads of columns give N neighbouring output pixels.
template <int Q, int N>
void depthwise_row(const FixedDepthwiseArgs& a) {
  const __mmask64 lanes = a.lanes >= 64 ? ~0ull : (1ull << a.lanes) - 1;
  const int8_t* weights = a.arranged;
  for (int64_t p = 0; p < a.width; p += N) {
    RELUFLOW_COLUMNS_ZERO(0);
    RELUFLOW_COLUMNS_ZERO(1);
    RELUFLOW_COLUMNS_ZERO(2);
    RELUFLOW_COLUMNS_ZERO(3);
    for (int i = 0; i < a.kernel_rows; ++i) {
      const uint8_t* x = a.x + p * a.step + i * a.row;
      for (int q = 0; q < Q; ++q) {
        const Columns columns = columns_at(x + q * kQuad * a.pixel, a.pixel, lanes);
        RELUFLOW_COLUMNS_DOT(0)
        RELUFLOW_COLUMNS_DOT(1)
        RELUFLOW_COLUMNS_DOT(2)
        RELUFLOW_COLUMNS_DOT(3)
      }
    }
    RELUFLOW_COLUMNS_OUT(0)
    RELUFLOW_COLUMNS_OUT(1)
    RELUFLOW_COLUMNS_OUT(2)
    RELUFLOW_COLUMNS_OUT(3)
  }
}

void avx512_fixed_depthwise(const FixedDepthwiseArgs& a) {
  using Row = void (*)(const FixedDepthwiseArgs&);
  static constexpr Row kRows[2][4] = {
      {depthwise_row<1, 1>, depthwise_row<1, 2>, depthwise_row<1, 3>, depthwise_row<1, 4>},
      {depthwise_row<2, 1>, depthwise_row<2, 2>, depthwise_row<2, 3>, depthwise_row<2, 4>}};
  if (!a.arranged) return common_fixed_depthwise(a);
  kRows[a.columns.quads - 1][a.columns.outputs - 1](a);
}

/// The taps of `depthwise_row`, interleaved as it interleaves pixels.
void avx512_fixed_arrange(const FixedArrangeArgs& a) {
  auto* out = reinterpret_cast<__m512i*>(a.out);
  for (int i = 0; i < a.kernel_rows; ++i) {
    for (int o = 0; o < a.columns.outputs; ++o) {
      for (int q = 0; q < a.columns.quads; ++q, out += kQuad) {
        __m512i taps[kQuad];
        for (int b = 0; b < kQuad; ++b) {
          const int column = q * kQuad + b - o * a.stride;
          const bool inside = column >= 0 && column < a.kernel_columns;
          taps[b] = inside ? _mm512_loadu_si512(a.taps + 64 * (i * a.kernel_columns + column))
                           : _mm512_setzero_si512();
        }
        const Columns columns(taps[0], taps[1], taps[2], taps[3]);
        _mm512_storeu_si512(out, columns.v0);
        _mm512_storeu_si512(out + 1, columns.v1);
        _mm512_storeu_si512(out + 2, columns.v2);
        _mm512_storeu_si512(out + 3, columns.v3);
      }
    }
  }
}

void avx512_fixed_sums(const int8_t* weights, int64_t quads, int vectors, int32_t* sums) {
  const __m512i ones = _mm512_set1_epi8(1);
  for (int v = 0; v < vectors; ++v) {
    __m512i sum = _mm512_loadu_si512(sums + 16 * v);
    for (int64_t q = 0; q < quads; ++q) {
      const __m512i w = _mm512_loadu_si512(weights + 64 * (q * vectors + v));
      asm("vpdpbusd %1, %2, %0" : "+v"(sum) : "v"(w), "v"(ones));
    }
    _mm512_storeu_si512(sums + 16 * v, sum);
  }
}

/// Quads of four stored bytes, 16 pixels at once; the rest goes the plain way.
void avx512_fixed_pack(const FixedPackArgs& a) {
  int64_t p = 0;
  const __m512 scale = _mm512_set1_ps(a.scale);
  const __m512 low = _mm512_set1_ps(static_cast<float>(-a.zero));
  const __m512 high = _mm512_set1_ps(static_cast<float>(255 - a.zero));
  for (; a.stored == kQuad && p + 16 <= a.pixels; p += 16) {
    __m512i words = _mm512_setzero_si512();
    for (int c = 0; c < kQuad; ++c) {
      __m512i value = _mm512_set1_epi32(a.zero);
      if (c < a.channels) {
        __m512 t = _mm512_mul_ps(_mm512_loadu_ps(a.x + c * a.plane + p), scale);
        t = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(t, t, _CMP_ORD_Q), t);
        t = _mm512_max_ps(_mm512_min_ps(t, high), low);
        value = _mm512_add_epi32(value, _mm512_cvtps_epi32(t));
      }
      words = _mm512_or_si512(words, _mm512_slli_epi32(value, static_cast<unsigned>(8 * c)));
    }
    if (a.step == kQuad) {
      _mm512_storeu_si512(a.out + p * kQuad, words);
      continue;
    }
    alignas(64) int32_t quads[16];
    _mm512_store_si512(quads, words);
    for (int i = 0; i < 16; ++i) __builtin_memcpy(a.out + (p + i) * a.step, quads + i, kQuad);
  }
  FixedPackArgs rest = a;
  rest.x += p;
  rest.out += p * a.step;
  rest.pixels -= p;
  common_fixed_pack(rest);
}

/// 64 entries of a table of 256 bytes: vpermi2b looks up 128 at once.
__attribute__((target("avx512vbmi"), always_inline)) inline __m512i look_up(const __m512i* table,
                                                                            __m512i at) {
  const __m512i first = _mm512_permutex2var_epi8(table[0], at, table[1]);
  const __m512i second = _mm512_permutex2var_epi8(table[2], at, table[3]);
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(at), first, second);
}

/// The tables of a draw in registers: a code below 128 has magnitudes 0 and 1, so that the others
/// need half a table.
struct DrawTables {
  __m512i low0, low1, high0, high1, chance0, chance1, chance2, chance3;

  __attribute__((target("avx512vbmi"))) explicit DrawTables(const FixedTables& t)
      : low0(_mm512_load_si512(t.low + kFixedSmall)),
        low1(_mm512_load_si512(t.low + kFixedSmall + 64)),
        high0(_mm512_load_si512(t.high + kFixedSmall)),
        high1(_mm512_load_si512(t.high + kFixedSmall + 64)),
        chance0(_mm512_load_si512(t.chance)),
        chance1(_mm512_load_si512(t.chance + 64)),
        chance2(_mm512_load_si512(t.chance + 128)),
        chance3(_mm512_load_si512(t.chance + 192)) {}
};

constexpr int kCodesAhead = 48;  // rows of codes that are fetched early: some 100 ns

/// Draws 64 weights. A sum that wraps is less than before, a difference that wraps is more: where
/// the chance is 0 nothing wraps, and both magnitudes are one.
__attribute__((target("avx512vbmi"), always_inline)) inline void draw_row(const DrawTables& t,
                                                                          const FixedDrawArgs& d,
                                                                          int64_t row,
                                                                          __m512i* carry) {
  const __m512i code = _mm512_loadu_si512(d.codes + 64 * row);
  _mm_prefetch(d.codes + 64 * (row + kCodesAhead), _MM_HINT_T0);
  const __mmask64 negative =
      _load_mask64(const_cast<__mmask64*>(reinterpret_cast<const __mmask64*>(d.signs + row)));
  const __mmask64 large = _mm512_movepi8_mask(code);
  const __m512i zero = _mm512_setzero_si512();
  __m512i chance = _mm512_permutex2var_epi8(t.chance0, code, t.chance1);
  chance =
      _mm512_mask_blend_epi8(large, chance, _mm512_permutex2var_epi8(t.chance2, code, t.chance3));
  const __m512i next =
      _mm512_add_epi8(*carry, _mm512_mask_sub_epi8(chance, negative, zero, chance));
  const __mmask64 up = _kxor_mask64(_mm512_cmplt_epu8_mask(next, *carry), negative);
  *carry = next;
  __m512i w = _mm512_maskz_permutex2var_epi8(large, t.low0, code, t.low1);
  const __m512i high = _mm512_maskz_permutex2var_epi8(large, t.high0, code, t.high1);
  w = _mm512_mask_max_epu8(w, up, high, _mm512_set1_epi8(1));
  _mm512_storeu_si512(d.out + 64 * row, _mm512_mask_sub_epi8(w, negative, zero, w));
}

/// Every weight is the one magnitude of its code.
__attribute__((target("avx512vbmi"))) void vbmi_fixed_nearest(const FixedDrawArgs& d) {
  __m512i low[4];
  for (int i = 0; i < 4; ++i) low[i] = _mm512_loadu_si512(d.nearest + 64 * i);
  const __m512i zero = _mm512_setzero_si512();
  for (int64_t row = 0; row < d.quads * d.vectors; ++row) {
    const __m512i w = look_up(low, _mm512_loadu_si512(d.codes + 64 * row));
    _mm512_storeu_si512(d.out + 64 * row, _mm512_mask_sub_epi8(w, d.signs[row], zero, w));
  }
}

template <int V>
__attribute__((target("avx512vbmi"))) void draw_rows(const FixedDrawArgs& d) {
  const DrawTables tables(*d.tables);
  __m512i r0 = _mm512_loadu_si512(d.carry);
  __m512i r1 = V > 1 ? _mm512_loadu_si512(d.carry + 64) : r0;
  __m512i r2 = V > 2 ? _mm512_loadu_si512(d.carry + 128) : r0;
  __m512i r3 = V > 3 ? _mm512_loadu_si512(d.carry + 192) : r0;
  for (int64_t row = 0; row < d.quads * V; row += V) {
    draw_row(tables, d, row, &r0);
    if constexpr (V > 1) draw_row(tables, d, row + 1, &r1);
    if constexpr (V > 2) draw_row(tables, d, row + 2, &r2);
    if constexpr (V > 3) draw_row(tables, d, row + 3, &r3);
  }
  _mm512_storeu_si512(d.carry, r0);
  if constexpr (V > 1) _mm512_storeu_si512(d.carry + 64, r1);
  if constexpr (V > 2) _mm512_storeu_si512(d.carry + 128, r2);
  if constexpr (V > 3) _mm512_storeu_si512(d.carry + 192, r3);
}

__attribute__((target("avx512vbmi"))) void vbmi_fixed_draw(const FixedDrawArgs& d) {
  static constexpr void (*kDraws[])(const FixedDrawArgs&) = {draw_rows<1>, draw_rows<2>,
                                                             draw_rows<3>, draw_rows<4>};
  d.tables ? kDraws[d.vectors - 1](d) : vbmi_fixed_nearest(d);
}

__attribute__((target("avx512vbmi"))) void vbmi_fixed_table(uint8_t* values, int64_t n,
                                                            const uint8_t* table) {
  __m512i entries[4];
  for (int i = 0; i < 4; ++i) entries[i] = _mm512_loadu_si512(table + 64 * i);
  for (int64_t i = 0; i < n; i += 64) {
    const __mmask64 some = n - i >= 64 ? ~0ull : (1ull << (n - i)) - 1;
    const __m512i at = _mm512_maskz_loadu_epi8(some, values + i);
    _mm512_mask_storeu_epi8(values + i, some, look_up(entries, at));
  }
}

}  // namespace

}  // namespace reluflow

#endif
