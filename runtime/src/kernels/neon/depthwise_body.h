// Depthwise rows from words of two values: smlal adds four products.
//
// In an unnamed namespace, as all bodies: the tables of NEON compile a copy each.
#ifndef RELUFLOW_KERNELS_NEON_DEPTHWISE_BODY_H
#define RELUFLOW_KERNELS_NEON_DEPTHWISE_BODY_H

#include <arm_neon.h>

#include "kernels/kernels.h"
#include "kernels/neon/unrolled_body.h"
#include "kernels/portable/depthwise_body.h"

namespace reluflow {

namespace {

/// Products [begin, end) of 16 neighbouring pixels; words behind the last one may be read.
RELUFLOW_INLINE inline void neon_words16(const DepthwiseArgs& d, const int32_t* words,
                                         const int16_t* weights, int64_t begin, int64_t end,
                                         int32x4_t* sum) {
  each<4>([&](auto i) RELUFLOW_INLINE { sum[i.value] = vdupq_n_s32(0); });
  for (int64_t t = begin; t < end; ++t) {
    const auto* in = reinterpret_cast<const int16_t*>(words + d.offsets[t]);
    const int16x4_t low = vdup_n_s16(weights[t * d.weight_step]);
    const int16x4_t high = vdup_n_s16(weights[t * d.weight_step + 1]);
    each<2>([&](auto i) RELUFLOW_INLINE {
      int32x4_t* of = sum + 2 * i.value;
      const int16x8x2_t x = vld2q_s16(in + 16 * i.value);
      of[0] = vmlal_s16(of[0], vget_low_s16(x.val[0]), low);
      of[1] = vmlal_s16(of[1], vget_high_s16(x.val[0]), low);
      of[0] = vmlal_s16(of[0], vget_low_s16(x.val[1]), high);
      of[1] = vmlal_s16(of[1], vget_high_s16(x.val[1]), high);
    });
  }
}

/// Up to 16 pixels of an output row.
RELUFLOW_INLINE inline void neon_strip(const DepthwiseArgs& d, const int32_t* words,
                                       const int16_t* weights, int64_t n, int64_t at) {
  int32x4_t sum[4];
  if (d.runs <= 1) {
    int32_t sums[16];
    neon_words16(d, words, weights, 0, d.n, sum);
    each<4>([&](auto i) RELUFLOW_INLINE { vst1q_s32(sums + 4 * i.value, sum[i.value]); });
    return finish_depthwise(d, sums, n, at);
  }
  int64_t all[16] = {};
  int64_t begin = 0;
  for (int64_t run = 0; run < d.runs; begin = d.ends[run++]) {
    int32_t sums[16];
    neon_words16(d, words, weights, begin, d.ends[run], sum);
    each<4>([&](auto i) RELUFLOW_INLINE { vst1q_s32(sums + 4 * i.value, sum[i.value]); });
    for (int i = 0; i < 16; ++i) all[i] += sums[i];
  }
  finish_depthwise(d, all, n, at);
}

void neon_depthwise(const DepthwiseArgs& d) {
  if (d.column_step != 1) return common_depthwise(d);
  for (int64_t row = 0; row < d.height; ++row) {
    const int32_t* words = d.words + row / d.rows * d.pass_step;
    const int16_t* weights = d.weights + row % d.rows * d.n * d.weight_step;
    for (int64_t x = 0; x < d.width; x += 16) {
      const int64_t n = d.width - x < 16 ? d.width - x : 16;
      neon_strip(d, words + x, weights, n, row * d.width + x);
    }
  }
}

}  // namespace

}  // namespace reluflow

#endif
