// Tiles of bytes by an instruction whose bytes are signed: x - 128 is multiplied, and 128 times the
// sum of the weights is where a sum starts.
//
// In an unnamed namespace, as all bodies: the tables of NEON compile a copy each.
#ifndef RELUFLOW_KERNELS_NEON_FIXED_TILE_BODY_H
#define RELUFLOW_KERNELS_NEON_FIXED_TILE_BODY_H

#include <arm_neon.h>

#include "kernels/kernels.h"
#include "kernels/neon/fixed_store_body.h"
#include "kernels/neon/unrolled_body.h"

namespace reluflow {

namespace {

constexpr int kByteOffset = 7;  ///< log2 of what is taken from a byte to make it signed

/// Without an instruction of its own, a quad takes four. |w| <= 127, so that two products of a
/// signed byte and a weight fit 16 bits.
struct WideningDot {
  RELUFLOW_INLINE static int32x4_t dot(int32x4_t sum, int8x16_t w, int8x16_t x) {
    const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x));
    const int16x8_t high = vmull_high_s8(w, x);
    return vpadalq_s16(sum, vpaddq_s16(low, high));
  }
  /// The weights of each quad, added up.
  RELUFLOW_INLINE static int32x4_t add(int32x4_t sum, int8x16_t w) {
    return vpadalq_s16(sum, vpaddlq_s8(w));
  }
};

/// A quad of every lane, with the sign of x - 128.
RELUFLOW_INLINE inline int8x16_t signed_quad(const uint8_t* x) {
  uint32_t quad;
  __builtin_memcpy(&quad, x, sizeof quad);
  return vreinterpretq_s8_u32(vdupq_n_u32(quad ^ 0x80808080u));
}

/// Where the sums of 16 output channels start.
template <class Dot>
RELUFLOW_INLINE inline void first_sums(const FixedTileArgs& args, int lane, int vectors,
                                       int32x4_t* sum) {
  each<4>([&](auto i) RELUFLOW_INLINE { sum[i.value] = vdupq_n_s32(0); });
  const int8_t* w = args.weights + kQuad * lane;
  for (int64_t q = 0; q < args.quads; ++q, w += kQuad * kLanes * vectors) {
    each<4>([&](auto i) RELUFLOW_INLINE {
      sum[i.value] = Dot::add(sum[i.value], vld1q_s8(w + 16 * i.value));
    });
  }
  each<4>([&](auto i) RELUFLOW_INLINE { sum[i.value] = vshlq_n_s32(sum[i.value], kByteOffset); });
}

/// Where a tile's finished sums go.
RELUFLOW_INLINE inline void neon_finish(const FixedTileArgs& args, int p, int lane,
                                        const int32x4_t* sum) {
  if (args.sums) {
    each<4>([&](auto i) RELUFLOW_INLINE {
      vst1q_s32(args.sums + p * kTileLanes + lane + 4 * i.value, sum[i.value]);
    });
    return;
  }
  neon_store(*args.store, lane, args.lanes, sum[0], sum[1], sum[2], sum[3],
             args.z ? args.z[p] : nullptr, args.out[p]);
}

/// P pixels times 16 output channels from `lane` on: 24 sums, 4 weights, 1 quad in flight.
template <int P, class Dot>
void neon_quads16(const FixedTileArgs& args, int lane, int vectors) {
  int32x4_t sum[4 * P];
  const uint8_t* x[P];
  first_sums<Dot>(args, lane, vectors, sum);
  each<P>([&](auto p) RELUFLOW_INLINE {
    x[p.value] = args.pixels[p.value];
    each<4>([&](auto i) RELUFLOW_INLINE { sum[4 * p.value + i.value] = sum[i.value]; });
  });
  const int8_t* w = args.weights + kQuad * lane;
  for (int64_t q = 0; q < args.quads; ++q, w += kQuad * kLanes * vectors) {
    const int64_t at = args.offsets[q];
    const int8x16_t w0 = vld1q_s8(w);
    const int8x16_t w1 = vld1q_s8(w + 16);
    const int8x16_t w2 = vld1q_s8(w + 32);
    const int8x16_t w3 = vld1q_s8(w + 48);
    each<P>([&](auto p) RELUFLOW_INLINE {
      const int8x16_t quad = signed_quad(x[p.value] + at);
      int32x4_t* of = sum + 4 * p.value;
      of[0] = Dot::dot(of[0], w0, quad);
      of[1] = Dot::dot(of[1], w1, quad);
      of[2] = Dot::dot(of[2], w2, quad);
      of[3] = Dot::dot(of[3], w3, quad);
    });
  }
  each<P>([&](auto p) RELUFLOW_INLINE { neon_finish(args, p.value, lane, sum + 4 * p.value); });
}

template <class Dot>
void neon_fixed_tile(int pixels, int vectors, const FixedTileArgs& args) {
  static constexpr void (*kQuads[kFixedPixels])(const FixedTileArgs&, int, int) = {
      neon_quads16<1, Dot>, neon_quads16<2, Dot>, neon_quads16<3, Dot>,
      neon_quads16<4, Dot>, neon_quads16<5, Dot>, neon_quads16<6, Dot>};
  for (int lane = 0; lane < args.lanes; lane += kLanes) kQuads[pixels - 1](args, lane, vectors);
}

template <class Dot>
void neon_fixed_sums(const int8_t* weights, int64_t quads, int vectors, int32_t* sums) {
  for (int v = 0; v < 4 * vectors; ++v) {
    int32x4_t sum = vld1q_s32(sums + 4 * v);
    for (int64_t q = 0; q < quads; ++q) {
      sum = Dot::add(sum, vld1q_s8(weights + q * kQuad * kLanes * vectors + 16 * v));
    }
    vst1q_s32(sums + 4 * v, sum);
  }
}

}  // namespace

}  // namespace reluflow

#endif
