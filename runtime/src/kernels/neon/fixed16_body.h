// Chains of 16 bits: smlal adds four products.
//
// In an unnamed namespace, as all bodies: the tables of NEON compile a copy each.
#ifndef RELUFLOW_KERNELS_NEON_FIXED16_BODY_H
#define RELUFLOW_KERNELS_NEON_FIXED16_BODY_H

#include <arm_neon.h>

#include "kernels/fixed16_args.h"
#include "kernels/kernels.h"
#include "kernels/neon/fixed_store_body.h"
#include "kernels/neon/unrolled_body.h"

namespace reluflow {

namespace {

/// Four sums from lane `at` of a store on, scaled. `high` is 0 where sums have one part. Not
/// inlined: what it needs registers for is no part of the loops before it.
__attribute__((noinline)) int32x4_t neon_scaled16(const Fixed16Store& s, int at, int32x4_t t,
                                                  int32x4_t high, int32x4_t z) {
  if (s.rounds) {
    t = shifted_right(vaddq_s32(t, vld1q_s32(s.half + at)), vld1q_s32(s.down + at));
  }
  t = vaddq_s32(t, vshlq_s32(high, vld1q_s32(s.left + at)));
  if (s.deep) {
    t = shifted_right(vaddq_s32(t, vld1q_s32(s.half2 + at)), vld1q_s32(s.down2 + at));
  }
  if (s.raises) {
    const int32x4_t most = vld1q_s32(s.most + at);
    t = vminq_s32(vmaxq_s32(t, vnegq_s32(most)), most);
    t = vshlq_s32(t, vld1q_s32(s.up + at));
  }
  t = vaddq_s32(t, vld1q_s32(s.add + at));
  t = vaddq_s32(t, vshlq_s32(z, vld1q_s32(s.z_shift + at)));
  return shifted_right(t, vld1q_s32(s.shift + at));
}

/// Eight values, of which `count` may be read or written.
template <bool kWhole>
RELUFLOW_INLINE inline int16x8_t some_values(const int16_t* from, int count) {
  if (kWhole || count >= 8) return vld1q_s16(from);
  int16_t values[8] = {};
  for (int i = 0; i < count; ++i) values[i] = from[i];
  return vld1q_s16(values);
}

RELUFLOW_INLINE inline void store_values(const Fixed16Store& s, int16_t* to, int count,
                                         int32x4_t low, int32x4_t high) {
  // Narrowing saturates, and what it saturates lies outside the bounds too.
  int16x8_t y = vqmovn_high_s32(vqmovn_s32(low), high);
  y = vmaxq_s16(y, vdupq_n_s16(static_cast<int16_t>(s.low)));
  y = vminq_s16(y, vdupq_n_s16(static_cast<int16_t>(s.high)));
  if (count >= 8) return vst1q_s16(to, y);
  int16_t values[8];
  vst1q_s16(values, y);
  for (int i = 0; i < count; ++i) to[i] = values[i];
}

void neon_fixed16_store(const Fixed16StoreArgs& a) {
  const Fixed16Store& s = *a.store;
  for (int p = 0; p < a.pixels; ++p) {
    for (int at = 0; at < a.lanes; at += 8) {
      const int32_t* sums = a.sums + p * kTileLanes + at;
      const int16x8_t z = a.z ? some_values<false>(a.z[p] + at, a.lanes - at) : vdupq_n_s16(0);
      int32x4_t high[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
      if (a.high) high[0] = vld1q_s32(a.high + p * kTileLanes + at);
      if (a.high) high[1] = vld1q_s32(a.high + p * kTileLanes + at + 4);
      const int32x4_t low =
          neon_scaled16(s, at, vld1q_s32(sums), high[0], vmovl_s16(vget_low_s16(z)));
      const int32x4_t rest =
          neon_scaled16(s, at + 4, vld1q_s32(sums + 4), high[1], vmovl_high_s16(z));
      store_values(s, a.out[p] + at, a.lanes - at, low, rest);
    }
  }
}

/// Moves the high part of a sum to `high`.
RELUFLOW_INLINE inline void neon_split16(int32x4_t* sum, int32x4_t* high) {
  *high = vsraq_n_s32(*high, *sum, kHighBits);
  *sum = vandq_s32(*sum, vdupq_n_s32((1 << kHighBits) - 1));
}

/// Eight channels of P pixels from `p` on. In order of `depthwise16_channel` the first four stand
/// at lane `at`, the others 16 lanes behind them.
template <int P, bool kRuns, bool kWhole>
RELUFLOW_INLINE inline void neon_depthwise8(const Fixed16DepthwiseArgs& a, int at, int64_t p) {
  const int channel = depthwise16_channel(at / kLanes, at % kLanes);
  const int count = a.lanes - channel;
  const int64_t from = a.offset + channel + p * a.step;
  int32x4_t sum[2 * P];
  int32x4_t high[2 * P];
  each<2 * P>([&](auto i) RELUFLOW_INLINE { sum[i.value] = high[i.value] = vdupq_n_s32(0); });
  int64_t run = 0;
  for (int64_t q = 0; q < a.pairs; ++q) {
    if (kRuns && q == a.ends[run]) {
      ++run;
      each<2 * P>([&](auto i) RELUFLOW_INLINE { neon_split16(sum + i.value, high + i.value); });
    }
    const int16_t* weights = a.weights + 2 * (q * kTileLanes + at);
    const int16x4x2_t w0 = vld2_s16(weights);
    const int16x4x2_t w1 = vld2_s16(weights + 2 * kLanes);
    each<P>([&](auto n) RELUFLOW_INLINE {
      int32x4_t* of = sum + 2 * n.value;
      const int16x8_t x = some_values<kWhole>(a.taps[2 * q] + from + n.value * a.step, count);
      const int16x8_t y = some_values<kWhole>(a.taps[2 * q + 1] + from + n.value * a.step, count);
      of[0] = vmlal_s16(of[0], vget_low_s16(x), w0.val[0]);
      of[1] = vmlal_s16(of[1], vget_high_s16(x), w1.val[0]);
      of[0] = vmlal_s16(of[0], vget_low_s16(y), w0.val[1]);
      of[1] = vmlal_s16(of[1], vget_high_s16(y), w1.val[1]);
    });
  }
  each<P>([&](auto n) RELUFLOW_INLINE {
    const int64_t to = (p + n.value) * a.out_step + channel;
    const int16x8_t z = a.z ? some_values<kWhole>(a.z + to, count) : vdupq_n_s16(0);
    const int32x4_t* of = sum + 2 * n.value;
    const int32x4_t* parts = high + 2 * n.value;
    const int32x4_t low = neon_scaled16(*a.store, at, of[0], parts[0], vmovl_s16(vget_low_s16(z)));
    const int32x4_t rest = neon_scaled16(*a.store, at + kLanes, of[1], parts[1], vmovl_high_s16(z));
    store_values(*a.store, a.out + to, count, low, rest);
  });
}

template <bool kRuns, bool kWhole>
void neon_depthwise_row(const Fixed16DepthwiseArgs& a, int at) {
  int64_t p = 0;
  for (; p + 4 <= a.width; p += 4) neon_depthwise8<4, kRuns, kWhole>(a, at, p);
  for (; p < a.width; ++p) neon_depthwise8<1, kRuns, kWhole>(a, at, p);
}

template <bool kRuns>
void neon_depthwise_rows(const Fixed16DepthwiseArgs& a) {
  for (int channel = 0; channel < a.lanes; channel += 8) {
    const int at = channel / (2 * kLanes) * 2 * kLanes + channel % (2 * kLanes) / 2;
    const bool whole = a.lanes - channel >= 8;
    whole ? neon_depthwise_row<kRuns, true>(a, at) : neon_depthwise_row<kRuns, false>(a, at);
  }
}

void neon_fixed16_depthwise(const Fixed16DepthwiseArgs& a) {
  a.runs > 1 ? neon_depthwise_rows<true>(a) : neon_depthwise_rows<false>(a);
}

}  // namespace

}  // namespace reluflow

#endif
