// Chains of bytes: vpmaddwd adds two products of widened bytes, exactly. (vpmaddubsw saturates: two
// products of 255 and 127 are beyond 16 bits.)
#ifndef RELUFLOW_KERNELS_AVX2_FIXED_BODY_H
#define RELUFLOW_KERNELS_AVX2_FIXED_BODY_H

#include <immintrin.h>

#include "kernels/fixed_args.h"
#include "kernels/portable/fixed_body.h"

namespace reluflow {

namespace {

inline __m256i load8(const int32_t* p) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
}

/// Eight sums from lane `at` on, scaled; z as whole numbers.
inline __m256i avx2_scaled(const FixedStore& s, int at, __m256i t, const __m256i* z) {
  if (s.adjusts) {
    t = _mm256_add_epi32(t, load8(s.before + at));
    const __m256i most = load8(s.most + at);
    const __m256i down = load8(s.down + at);
    t = _mm256_max_epi32(t, _mm256_sub_epi32(_mm256_setzero_si256(), most));
    t = _mm256_sllv_epi32(_mm256_min_epi32(t, most), load8(s.up + at));
    const __m256i half = _mm256_srli_epi32(_mm256_sllv_epi32(_mm256_set1_epi32(1), down), 1);
    t = _mm256_srav_epi32(_mm256_add_epi32(t, half), down);
  }
  t = _mm256_add_epi32(t, load8(s.add + at));
  if (z) t = _mm256_add_epi32(t, _mm256_sllv_epi32(*z, load8(s.z_shift + at)));
  return _mm256_srav_epi32(t, load8(s.shift + at));
}

/// Sixteen bytes, of which `count` may be read or written.
inline __m128i some_bytes(const uint8_t* from, int count) {
  if (count >= 16) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  alignas(16) uint8_t bytes[16] = {};
  for (int i = 0; i < count; ++i) bytes[i] = from[i];
  return _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
}

inline void store_some(uint8_t* to, __m128i value, int count) {
  if (count >= 16) return _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value);
  alignas(16) uint8_t bytes[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(bytes), value);
  for (int i = 0; i < count; ++i) to[i] = bytes[i];
}

/// Sums of lanes `at` to `at` + 15, as clamped bytes.
inline void avx2_store(const FixedStore& s, int at, int lanes, __m256i first, __m256i second,
                       const uint8_t* z, uint8_t* out) {
  if (z) {
    const __m128i bytes = some_bytes(z + at, lanes - at);
    const __m256i z0 = _mm256_cvtepu8_epi32(bytes);
    const __m256i z1 = _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8));
    first = avx2_scaled(s, at, first, &z0);
    second = avx2_scaled(s, at + 8, second, &z1);
  } else {
    first = avx2_scaled(s, at, first, nullptr);
    second = avx2_scaled(s, at + 8, second, nullptr);
  }
  // Packing saturates, so that the bounds can be those of bytes.
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xd8);
  __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  bytes = _mm_max_epu8(bytes, _mm_set1_epi8(static_cast<char>(s.low)));
  bytes = _mm_min_epu8(bytes, _mm_set1_epi8(static_cast<char>(s.high)));
  store_some(out + at, bytes, lanes - at);
}

#define RELUFLOW_QUAD_ZERO(p)            \
  __m256i a##p = _mm256_setzero_si256(); \
  __m256i b##p = _mm256_setzero_si256(); \
  const uint8_t* x##p = args.pixels[P > p ? p : 0]

#define RELUFLOW_QUAD_DOT(p)                                      \
  if constexpr (P > p) {                                          \
    int32_t quad;                                                 \
    __builtin_memcpy(&quad, x##p + at, sizeof quad);              \
    const __m256i x = _mm256_cvtepu8_epi16(_mm_set1_epi32(quad)); \
    a##p = _mm256_add_epi32(a##p, _mm256_madd_epi16(x, wa));      \
    b##p = _mm256_add_epi32(b##p, _mm256_madd_epi16(x, wb));      \
  }

// Each sum of a lane lies in two neighbouring halves.
#define RELUFLOW_QUAD_OUT(p)                                                            \
  if constexpr (P > p) {                                                                \
    const __m256i sums = _mm256_permute4x64_epi64(_mm256_hadd_epi32(a##p, b##p), 0xd8); \
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + p * kTileLanes + lane), sums); \
  }

/// P pixels times 8 output channels from `lane` on: 12 sums, 2 weights, 1 in flight.
template <int P>
void quads8(const FixedTileArgs& args, int lane, int vectors, int32_t* out) {
  RELUFLOW_QUAD_ZERO(0);
  RELUFLOW_QUAD_ZERO(1);
  RELUFLOW_QUAD_ZERO(2);
  RELUFLOW_QUAD_ZERO(3);
  RELUFLOW_QUAD_ZERO(4);
  RELUFLOW_QUAD_ZERO(5);
  const int8_t* w = args.weights + kQuad * lane;
  for (int64_t q = 0; q < args.quads; ++q, w += kQuad * kLanes * vectors) {
    const int64_t at = args.offsets[q];
    const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
    const __m256i wa = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(both));
    const __m256i wb = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(both, 1));
    RELUFLOW_QUAD_DOT(0)
    RELUFLOW_QUAD_DOT(1)
    RELUFLOW_QUAD_DOT(2)
    RELUFLOW_QUAD_DOT(3)
    RELUFLOW_QUAD_DOT(4)
    RELUFLOW_QUAD_DOT(5)
  }
  RELUFLOW_QUAD_OUT(0)
  RELUFLOW_QUAD_OUT(1)
  RELUFLOW_QUAD_OUT(2)
  RELUFLOW_QUAD_OUT(3)
  RELUFLOW_QUAD_OUT(4)
  RELUFLOW_QUAD_OUT(5)
}

void avx2_fixed_tile(int pixels, int vectors, const FixedTileArgs& args) {
  static constexpr void (*kQuads[kFixedPixels])(const FixedTileArgs&, int, int, int32_t*) = {
      quads8<1>, quads8<2>, quads8<3>, quads8<4>, quads8<5>, quads8<6>};
  alignas(32) int32_t own[kFixedPixels * kTileLanes];
  int32_t* sums = args.sums ? args.sums : own;
  for (int lane = 0; lane < args.lanes; lane += 8) kQuads[pixels - 1](args, lane, vectors, sums);
  if (args.sums) return;
  for (int p = 0; p < pixels; ++p) {
    const uint8_t* z = args.z ? args.z[p] : nullptr;
    for (int lane = 0; lane < args.lanes; lane += kLanes) {
      const int32_t* sum = sums + p * kTileLanes + lane;
      avx2_store(*args.store, lane, args.lanes, load8(sum), load8(sum + 8), z, args.out[p]);
    }
  }
}

/// Sixteen depthwise channels: the products of two taps are added at once.
inline void depthwise16(const FixedDepthwiseArgs& a, const uint8_t* x, int at, __m256i* first,
                        __m256i* second) {
  __m256i low = _mm256_setzero_si256();
  __m256i high = _mm256_setzero_si256();
  const int taps = a.kernel_rows * a.kernel_columns;
  const auto pixel = [&](int t) {
    const uint8_t* from = x + t / a.kernel_columns * a.row + t % a.kernel_columns * a.tap + at;
    return _mm256_cvtepu8_epi16(some_bytes(from, a.lanes - at));
  };
  const auto weight = [&](int t) {
    return _mm256_cvtepi8_epi16(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(a.weights + 64 * t + at)));
  };
  for (int t = 0; t < taps; t += 2) {
    const bool two = t + 1 < taps;
    const __m256i x0 = pixel(t);
    const __m256i w0 = weight(t);
    const __m256i x1 = two ? pixel(t + 1) : _mm256_setzero_si256();
    const __m256i w1 = two ? weight(t + 1) : _mm256_setzero_si256();
    low = _mm256_add_epi32(
        low, _mm256_madd_epi16(_mm256_unpacklo_epi16(x0, x1), _mm256_unpacklo_epi16(w0, w1)));
    high = _mm256_add_epi32(
        high, _mm256_madd_epi16(_mm256_unpackhi_epi16(x0, x1), _mm256_unpackhi_epi16(w0, w1)));
  }
  *first = _mm256_permute2x128_si256(low, high, 0x20);
  *second = _mm256_permute2x128_si256(low, high, 0x31);
}

void avx2_fixed_depthwise(const FixedDepthwiseArgs& a) {
  for (int64_t p = 0; p < a.width; ++p) {
    const uint8_t* z = a.z ? a.z + p * a.out_step : nullptr;
    for (int at = 0; at < a.lanes; at += kLanes) {
      __m256i first;
      __m256i second;
      depthwise16(a, a.x + p * a.step, at, &first, &second);
      avx2_store(*a.store, at, a.lanes, first, second, z, a.out + p * a.out_step);
    }
  }
}

}  // namespace

}  // namespace reluflow

#endif
