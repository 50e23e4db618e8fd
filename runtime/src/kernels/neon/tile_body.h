// Pairs of 16 bits: smlal adds four products; weights are taken apart as they are loaded.
//
// In an unnamed namespace, as all bodies: the tables of NEON compile a copy each.
#ifndef RELUFLOW_KERNELS_NEON_TILE_BODY_H
#define RELUFLOW_KERNELS_NEON_TILE_BODY_H

#include <arm_neon.h>

#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/neon/unrolled_body.h"

namespace reluflow {

namespace {

constexpr int kNeonPixels = 6;

RELUFLOW_INLINE inline void neon_flush(const TileArgs& t, int at, int32x4_t sum) {
  if (t.mode == kTileRaw) return vst1q_s32(static_cast<int32_t*>(t.out) + at, sum);
  float* out = static_cast<float*>(t.out) + at;
  float32x4_t value = vcvtq_f32_s32(sum);
  if (t.mode == kTileAdd) value = vaddq_f32(vld1q_f32(out), value);
  vst1q_f32(out, value);
}

/// Both products of a pair, for eight output channels.
RELUFLOW_INLINE inline void neon_pair(int32x4_t* sum, int16x8x2_t w, int16x4_t x) {
  sum[0] = vmlal_lane_s16(sum[0], vget_low_s16(w.val[0]), x, 0);
  sum[1] = vmlal_high_lane_s16(sum[1], w.val[0], x, 0);
  sum[0] = vmlal_lane_s16(sum[0], vget_low_s16(w.val[1]), x, 1);
  sum[1] = vmlal_high_lane_s16(sum[1], w.val[1], x, 1);
}

/// P pixels times 16 output channels, number v of the tile: 24 sums, 4 weights, 1 pair in flight.
template <int P>
void neon_tile16(const TileArgs& t, int v, int vectors) {
  int32x4_t sum[4 * P];
  const char* x[P];
  each<4 * P>([&](auto i) RELUFLOW_INLINE { sum[i.value] = vdupq_n_s32(0); });
  each<P>([&](auto p) RELUFLOW_INLINE { x[p.value] = t.pixels[p.value]; });
  const int16_t* w = t.weights + v * 2 * kLanes;
  for (int64_t k = 0; k < t.pairs; ++k, w += vectors * 2 * kLanes) {
    const int64_t at = t.taps[k];
    const int16x8x2_t first = vld2q_s16(w);
    const int16x8x2_t second = vld2q_s16(w + 16);
    each<P>([&](auto p) RELUFLOW_INLINE {
      int32_t pair;
      __builtin_memcpy(&pair, x[p.value] + at, sizeof pair);
      const int16x4_t in = vreinterpret_s16_s32(vdup_n_s32(pair));
      neon_pair(sum + 4 * p.value, first, in);
      neon_pair(sum + 4 * p.value + 2, second, in);
    });
  }
  each<4 * P>([&](auto i) RELUFLOW_INLINE {
    neon_flush(t, i.value / 4 * kTileLanes + kLanes * v + i.value % 4 * 4, sum[i.value]);
  });
}

void neon_tile(int pixels, int vectors, const TileArgs& args) {
  static constexpr void (*kTiles[kNeonPixels])(const TileArgs&, int, int) = {
      neon_tile16<1>, neon_tile16<2>, neon_tile16<3>,
      neon_tile16<4>, neon_tile16<5>, neon_tile16<6>};
  for (int v = 0; v < vectors; ++v) kTiles[pixels - 1](args, v, vectors);
}

}  // namespace

}  // namespace reluflow

#endif
