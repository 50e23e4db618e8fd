// Loops over rows of values: quantising to quads, and mixing four values to one.
//
// In an unnamed namespace, as all bodies: the tables of NEON compile a copy each.
#ifndef RELUFLOW_KERNELS_NEON_ROWS_BODY_H
#define RELUFLOW_KERNELS_NEON_ROWS_BODY_H

#include <arm_neon.h>

#include "kernels/kernels.h"
#include "kernels/neon/unrolled_body.h"
#include "kernels/portable/bytes_body.h"
#include "kernels/portable/fixed_body.h"

namespace reluflow {

namespace {

/// Four pixels of one channel, quantised: the conversion rounds to even, and makes 0 of NaN.
RELUFLOW_INLINE inline int32x4_t neon_bytes_of(const float* x, const FixedPackArgs& a) {
  const int32x4_t t = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x), vdupq_n_f32(a.scale)));
  const int32x4_t low = vmaxq_s32(t, vdupq_n_s32(-a.zero));
  return vaddq_s32(vminq_s32(low, vdupq_n_s32(255 - a.zero)), vdupq_n_s32(a.zero));
}

/// Quads of four stored bytes side by side, 8 pixels at once; the rest goes the plain way.
void neon_fixed_pack(const FixedPackArgs& a) {
  int64_t p = 0;
  for (; a.stored == kQuad && a.step == kQuad && p + 8 <= a.pixels; p += 8) {
    uint8x8x4_t quads;
    each<kQuad>([&](auto c) RELUFLOW_INLINE {
      quads.val[c.value] = vdup_n_u8(static_cast<uint8_t>(a.zero));
      if (c.value < a.channels) {
        const float* x = a.x + c.value * a.plane + p;
        const int16x4_t low = vmovn_s32(neon_bytes_of(x, a));
        quads.val[c.value] = vqmovun_s16(vmovn_high_s32(low, neon_bytes_of(x + 4, a)));
      }
    });
    vst4_u8(a.out + p * kQuad, quads);
  }
  FixedPackArgs rest = a;
  rest.x += p;
  rest.out += p * a.step;
  rest.pixels -= p;
  common_fixed_pack(rest);
}

RELUFLOW_INLINE inline int16x8_t mix_words(const uint8_t* x) {
  return vreinterpretq_s16_u16(vmovl_u8(vld1_u8(x)));
}

RELUFLOW_INLINE inline int16x8_t mix_words(const int16_t* x) { return vld1q_s16(x); }

RELUFLOW_INLINE inline void store_mixed(uint8_t* out, int16x8_t y) {
  vst1_u8(out, vmovn_u16(vreinterpretq_u16_s16(y)));
}

RELUFLOW_INLINE inline void store_mixed(int16_t* out, int16x8_t y) { vst1q_s16(out, y); }

template <class Value>
void neon_mix(const MixArgs<Value>& args) {
  const int16x4_t weights = vld1_s16(args.weights);
  int64_t i = 0;
  for (; i + 8 <= args.n; i += 8) {
    const int16x8_t a = mix_words(args.x[0] + i);
    const int16x8_t b = mix_words(args.x[1] + i);
    const int16x8_t c = mix_words(args.x[2] + i);
    const int16x8_t d = mix_words(args.x[3] + i);
    int32x4_t low = vmull_lane_s16(vget_low_s16(a), weights, 0);
    int32x4_t high = vmull_high_lane_s16(a, weights, 0);
    low = vmlal_lane_s16(low, vget_low_s16(b), weights, 1);
    high = vmlal_high_lane_s16(high, b, weights, 1);
    low = vmlal_lane_s16(low, vget_low_s16(c), weights, 2);
    high = vmlal_high_lane_s16(high, c, weights, 2);
    low = vmlal_lane_s16(low, vget_low_s16(d), weights, 3);
    high = vmlal_high_lane_s16(high, d, weights, 3);
    store_mixed(args.out + i,
                vrshrn_high_n_s32(vrshrn_n_s32(low, 2 * kMixBits), high, 2 * kMixBits));
  }
  MixArgs<Value> rest = args;
  for (const Value*& x : rest.x) x += i;
  rest.out += i;
  rest.n -= i;
  common_mix(rest);
}

}  // namespace

}  // namespace reluflow

#endif
