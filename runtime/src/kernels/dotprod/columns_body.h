// Depthwise channels of bytes whose columns are shared: the bytes of four neighbouring columns make
// a quad, of which one instruction adds the products.
//
// In an unnamed namespace, as all bodies: two tables compile a copy each.
#ifndef RELUFLOW_KERNELS_DOTPROD_COLUMNS_BODY_H
#define RELUFLOW_KERNELS_DOTPROD_COLUMNS_BODY_H

#include <arm_neon.h>

#include "kernels/kernels.h"
#include "kernels/neon/fixed_depthwise_body.h"
#include "kernels/neon/fixed_tile_body.h"
#include "kernels/neon/unrolled_body.h"

namespace reluflow {

namespace {

constexpr int kMostOutputs = 4;  ///< of FixedColumns

/// Bytes of 16 channels at four columns: vector v holds the quads of channels 4 v to 4 v + 3.
RELUFLOW_INLINE inline void interleave(const uint8x16_t* x, uint8x16_t* quads) {
  const uint16x8_t low_ab = vreinterpretq_u16_u8(vzip1q_u8(x[0], x[1]));
  const uint16x8_t high_ab = vreinterpretq_u16_u8(vzip2q_u8(x[0], x[1]));
  const uint16x8_t low_cd = vreinterpretq_u16_u8(vzip1q_u8(x[2], x[3]));
  const uint16x8_t high_cd = vreinterpretq_u16_u8(vzip2q_u8(x[2], x[3]));
  quads[0] = vreinterpretq_u8_u16(vzip1q_u16(low_ab, low_cd));
  quads[1] = vreinterpretq_u8_u16(vzip2q_u16(low_ab, low_cd));
  quads[2] = vreinterpretq_u8_u16(vzip1q_u16(high_ab, high_cd));
  quads[3] = vreinterpretq_u8_u16(vzip2q_u16(high_ab, high_cd));
}

/// Where the sums of 16 channels start whose products are those of x - 128.
template <class Dot>
RELUFLOW_INLINE inline void first_column_sums(const FixedDepthwiseArgs& a, int at, int32x4_t* sum) {
  each<4>([&](auto i) RELUFLOW_INLINE { sum[i.value] = vdupq_n_s32(0); });
  for (int t = 0; Dot::kSigned && t < a.kernel_rows * a.kernel_columns; ++t) {
    const int8x16_t w = vld1q_s8(a.weights + kTileLanes * t + at);
    const int16x8_t low = vshll_n_s8(vget_low_s8(w), kByteOffset);
    const int16x8_t high = vshll_high_n_s8(w, kByteOffset);
    sum[0] = vaddw_s16(sum[0], vget_low_s16(low));
    sum[1] = vaddw_high_s16(sum[1], low);
    sum[2] = vaddw_s16(sum[2], vget_low_s16(high));
    sum[3] = vaddw_high_s16(sum[3], high);
  }
}

/// N neighbouring output pixels of 16 channels from `at` on.
template <int N, bool kWhole, class Dot>
RELUFLOW_INLINE inline void columns16(const FixedDepthwiseArgs& a, int at, int64_t p,
                                      const int32x4_t* first) {
  int32x4_t sum[4 * N];
  each<4 * N>([&](auto i) RELUFLOW_INLINE { sum[i.value] = first[i.value % 4]; });
  const int8_t* weights = a.arranged + at;
  for (int i = 0; i < a.kernel_rows; ++i, weights += N * a.columns.quads * kQuad * kTileLanes) {
    const uint8_t* x = a.x + p * a.step + i * a.row + at;
    for (int q = 0; q < a.columns.quads; ++q, x += kQuad * a.pixel) {
      uint8x16_t bytes[kQuad];
      uint8x16_t quads[kQuad];
      each<kQuad>([&](auto c) RELUFLOW_INLINE {
        bytes[c.value] = Dot::bytes(neon_load_bytes<kWhole>(x + c.value * a.pixel, a.lanes - at));
      });
      interleave(bytes, quads);
      each<4 * N>([&](auto n) RELUFLOW_INLINE {
        constexpr int o = n.value / 4;
        constexpr int v = n.value % 4;
        const int8_t* w = weights + (o * a.columns.quads + q) * kQuad * kTileLanes + 64 * v;
        sum[n.value] = Dot::quads(sum[n.value], vld1q_s8(w), quads[v]);
      });
    }
  }
  each<N>([&](auto o) RELUFLOW_INLINE {
    if (p + o.value < a.width) {
      const int64_t to = (p + o.value) * a.out_step;
      const int32x4_t* of = sum + 4 * o.value;
      neon_store(*a.store, at, a.lanes, of[0], of[1], of[2], of[3], a.z ? a.z + to : nullptr,
                 a.out + to);
    }
  });
}

template <int N, class Dot>
void columns_row(const FixedDepthwiseArgs& a) {
  for (int at = 0; at < a.lanes; at += kLanes) {
    int32x4_t first[4];
    first_column_sums<Dot>(a, at, first);
    if (a.lanes - at >= kLanes) {
      for (int64_t p = 0; p < a.width; p += N) columns16<N, true, Dot>(a, at, p, first);
    } else {
      for (int64_t p = 0; p < a.width; p += N) columns16<N, false, Dot>(a, at, p, first);
    }
  }
}

template <class Dot>
void columns_depthwise(const FixedDepthwiseArgs& a) {
  static constexpr void (*kRows[kMostOutputs])(const FixedDepthwiseArgs&) = {
      columns_row<1, Dot>, columns_row<2, Dot>, columns_row<3, Dot>, columns_row<4, Dot>};
  a.arranged ? kRows[a.columns.outputs - 1](a) : neon_fixed_depthwise(a);
}

/// The taps of `columns16`, interleaved as it interleaves pixels.
void columns_arrange(const FixedArrangeArgs& a) {
  int8_t* out = a.out;
  for (int i = 0; i < a.kernel_rows; ++i) {
    for (int o = 0; o < a.columns.outputs; ++o) {
      for (int q = 0; q < a.columns.quads; ++q, out += kQuad * kTileLanes) {
        for (int at = 0; at < kQuad * kTileLanes; ++at) {
          const int channel = depthwise_channel(at / (kQuad * kLanes), at / kQuad % kLanes);
          const int column = q * kQuad + at % kQuad - o * a.stride;
          const bool inside = column >= 0 && column < a.kernel_columns;
          out[at] =
              inside ? a.taps[kTileLanes * (i * a.kernel_columns + column) + channel] : int8_t{0};
        }
      }
    }
  }
}

}  // namespace

}  // namespace reluflow

#endif
