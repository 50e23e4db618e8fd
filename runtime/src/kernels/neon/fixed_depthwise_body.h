// Depthwise channels of bytes: smlal adds the products of widened bytes.
//
// In an unnamed namespace, as all bodies: the tables of NEON compile a copy each.
#ifndef RELUFLOW_KERNELS_NEON_FIXED_DEPTHWISE_BODY_H
#define RELUFLOW_KERNELS_NEON_FIXED_DEPTHWISE_BODY_H

#include <arm_neon.h>

#include "kernels/kernels.h"
#include "kernels/neon/fixed_store_body.h"
#include "kernels/neon/unrolled_body.h"

namespace reluflow {

namespace {

/// Sixteen channels from `at` on of P output pixels from `p` on.
template <int P, bool kWhole>
RELUFLOW_INLINE inline void neon_depthwise16(const FixedDepthwiseArgs& a, int at, int64_t p) {
  int32x4_t sum[4 * P];
  each<4 * P>([&](auto i) RELUFLOW_INLINE { sum[i.value] = vdupq_n_s32(0); });
  const int8_t* weights = a.weights + at;
  for (int i = 0; i < a.kernel_rows; ++i) {
    const uint8_t* x = a.x + p * a.step + i * a.row + at;
    for (int j = 0; j < a.kernel_columns; ++j, weights += kTileLanes, x += a.tap) {
      const int8x16_t bytes = vld1q_s8(weights);
      const int16x8_t w0 = vmovl_s8(vget_low_s8(bytes));
      const int16x8_t w1 = vmovl_high_s8(bytes);
      each<P>([&](auto n) RELUFLOW_INLINE {
        int32x4_t* of = sum + 4 * n.value;
        const uint8x16_t in = neon_load_bytes<kWhole>(x + n.value * a.step, a.lanes - at);
        const int16x8_t x0 = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(in)));
        const int16x8_t x1 = vreinterpretq_s16_u16(vmovl_high_u8(in));
        of[0] = vmlal_s16(of[0], vget_low_s16(x0), vget_low_s16(w0));
        of[1] = vmlal_high_s16(of[1], x0, w0);
        of[2] = vmlal_s16(of[2], vget_low_s16(x1), vget_low_s16(w1));
        of[3] = vmlal_high_s16(of[3], x1, w1);
      });
    }
  }
  each<P>([&](auto n) RELUFLOW_INLINE {
    const int64_t to = (p + n.value) * a.out_step;
    const int32x4_t* of = sum + 4 * n.value;
    neon_store(*a.store, at, a.lanes, of[0], of[1], of[2], of[3], a.z ? a.z + to : nullptr,
               a.out + to);
  });
}

template <bool kWhole>
void neon_depthwise_channels(const FixedDepthwiseArgs& a, int at) {
  int64_t p = 0;
  for (; p + 4 <= a.width; p += 4) neon_depthwise16<4, kWhole>(a, at, p);
  for (; p < a.width; ++p) neon_depthwise16<1, kWhole>(a, at, p);
}

[[maybe_unused]] void neon_fixed_depthwise(const FixedDepthwiseArgs& a) {
  for (int at = 0; at < a.lanes; at += kLanes) {
    const bool whole = a.lanes - at >= kLanes;
    whole ? neon_depthwise_channels<true>(a, at) : neon_depthwise_channels<false>(a, at);
  }
}

}  // namespace

}  // namespace reluflow

#endif
