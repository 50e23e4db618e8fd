// Tiles of bytes: one usmmla multiplies two pixels and two output channels of 8 input channels.
//
// In an unnamed namespace, as all bodies.
#ifndef RELUFLOW_KERNELS_I8MM_MATRIX_TILE_BODY_H
#define RELUFLOW_KERNELS_I8MM_MATRIX_TILE_BODY_H

#include <arm_neon.h>

#include "kernels/kernels.h"
#include "kernels/neon/fixed_tile_body.h"
#include "kernels/neon/unrolled_body.h"

namespace reluflow {

namespace {

/// The quad at x and the one `next` bytes behind it; where there is no second one, zeros.
RELUFLOW_INLINE inline uint8x8_t two_quads(const uint8_t* x, bool two, int64_t next) {
  uint64_t bytes;
  if (two && next == kQuad) {
    __builtin_memcpy(&bytes, x, sizeof bytes);
    return vcreate_u8(bytes);
  }
  uint32_t quads[2] = {0, 0};
  __builtin_memcpy(quads, x, kQuad);
  if (two) __builtin_memcpy(quads + 1, x + next, kQuad);
  return vcreate_u8(quads[0] | uint64_t{quads[1]} << 32);
}

/// Two quads of 16 output channels, times R pairs of pixels. `second` may be null.
template <int R>
RELUFLOW_INLINE inline void add_quads(const int8_t* first, const int8_t* second,
                                      const uint8x16_t* x, int32x4_t* sum) {
  each<4>([&](auto g) RELUFLOW_INLINE {
    const int32x4_t w0 = vreinterpretq_s32_s8(vld1q_s8(first + 16 * g.value));
    const int32x4_t w1 =
        second ? vreinterpretq_s32_s8(vld1q_s8(second + 16 * g.value)) : vdupq_n_s32(0);
    const int8x16_t low = vreinterpretq_s8_s32(vzip1q_s32(w0, w1));
    const int8x16_t high = vreinterpretq_s8_s32(vzip2q_s32(w0, w1));
    each<R>([&](auto r) RELUFLOW_INLINE {
      int32x4_t* of = sum + 8 * r.value + 2 * g.value;
      of[0] = vusmmlaq_s32(of[0], x[r.value], low);
      of[1] = vusmmlaq_s32(of[1], x[r.value], high);
    });
  });
}

/// Up to 2 R pixels times 16 output channels from `lane` on. A sum holds two channels of one pixel
/// and the same two of the next: 24 sums, 3 pairs of pixels, 4 weights.
template <int R>
void matrix16(const FixedTileArgs& args, int pixels, int lane, int vectors) {
  int32x4_t sum[8 * R];
  const uint8_t* x[2 * R];
  each<8 * R>([&](auto i) RELUFLOW_INLINE { sum[i.value] = vdupq_n_s32(0); });
  each<2 * R>([&](auto p) RELUFLOW_INLINE {
    x[p.value] = args.pixels[p.value < pixels ? p.value : pixels - 1];
  });
  const int64_t row = int64_t{kQuad} * kLanes * vectors;
  const int8_t* w = args.weights + kQuad * lane;
  for (int64_t q = 0; q < args.quads; q += 2, w += 2 * row) {
    const bool two = q + 1 < args.quads;
    const int64_t at = args.offsets[q];
    const int64_t next = two ? args.offsets[q + 1] - at : 0;
    uint8x16_t in[R];
    each<R>([&](auto r) RELUFLOW_INLINE {
      in[r.value] = vcombine_u8(two_quads(x[2 * r.value] + at, two, next),
                                two_quads(x[2 * r.value + 1] + at, two, next));
    });
    add_quads<R>(w, two ? w + row : nullptr, in, sum);
  }
  each<2 * R>([&](auto p) RELUFLOW_INLINE {
    if (p.value < pixels) {
      int32x4_t of[4];
      each<4>([&](auto g) RELUFLOW_INLINE {
        const int64x2_t low = vreinterpretq_s64_s32(sum[p.value / 2 * 8 + 2 * g.value]);
        const int64x2_t high = vreinterpretq_s64_s32(sum[p.value / 2 * 8 + 2 * g.value + 1]);
        of[g.value] =
            vreinterpretq_s32_s64(p.value % 2 == 0 ? vzip1q_s64(low, high) : vzip2q_s64(low, high));
      });
      neon_finish(args, p.value, lane, of);
    }
  });
}

void matrix_fixed_tile(int pixels, int vectors, const FixedTileArgs& args) {
  static constexpr void (*kTiles[kFixedPixels / 2])(const FixedTileArgs&, int, int, int) = {
      matrix16<1>, matrix16<2>, matrix16<3>};
  for (int lane = 0; lane < args.lanes; lane += kLanes) {
    kTiles[(pixels - 1) / 2](args, pixels, lane, vectors);
  }
}

}  // namespace

}  // namespace reluflow

#endif
