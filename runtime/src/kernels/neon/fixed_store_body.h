// Sums of chains of bytes to bytes, 16 channels at once.
//
// In an unnamed namespace, as all bodies: the tables of NEON compile a copy each.
#ifndef RELUFLOW_KERNELS_NEON_FIXED_STORE_BODY_H
#define RELUFLOW_KERNELS_NEON_FIXED_STORE_BODY_H

#include <arm_neon.h>

#include "kernels/fixed_args.h"
#include "kernels/neon/unrolled_body.h"

namespace reluflow {

namespace {

/// t >> bits: NEON shifts to the right by a negative count to the left.
RELUFLOW_INLINE inline int32x4_t shifted_right(int32x4_t t, int32x4_t bits) {
  return vshlq_s32(t, vnegq_s32(bits));
}

/// Four sums from lane `at` on, scaled; z as whole numbers, or null.
RELUFLOW_INLINE inline int32x4_t neon_scaled(const FixedStore& s, int at, int32x4_t t,
                                             const int32x4_t* z) {
  if (s.adjusts) {
    const int32x4_t most = vld1q_s32(s.most + at);
    const int32x4_t down = vld1q_s32(s.down + at);
    t = vmaxq_s32(vaddq_s32(t, vld1q_s32(s.before + at)), vnegq_s32(most));
    t = vshlq_s32(vminq_s32(t, most), vld1q_s32(s.up + at));
    const int32x4_t half = vshrq_n_s32(vshlq_s32(vdupq_n_s32(1), down), 1);
    t = shifted_right(vaddq_s32(t, half), down);
  }
  t = vaddq_s32(t, vld1q_s32(s.add + at));
  if (z) t = vaddq_s32(t, vshlq_s32(*z, vld1q_s32(s.z_shift + at)));
  return shifted_right(t, vld1q_s32(s.shift + at));
}

/// Sixteen bytes, of which `count` may be read or written.
RELUFLOW_INLINE inline uint8x16_t neon_some_bytes(const uint8_t* from, int count) {
  if (count >= 16) return vld1q_u8(from);
  uint8_t bytes[16] = {};
  for (int i = 0; i < count; ++i) bytes[i] = from[i];
  return vld1q_u8(bytes);
}

RELUFLOW_INLINE inline void neon_store_some(uint8_t* to, uint8x16_t value, int count) {
  if (count >= 16) return vst1q_u8(to, value);
  uint8_t bytes[16];
  vst1q_u8(bytes, value);
  for (int i = 0; i < count; ++i) to[i] = bytes[i];
}

/// The same; where all are known to be there, without a branch.
template <bool kWhole>
RELUFLOW_INLINE inline uint8x16_t neon_load_bytes(const uint8_t* from, int count) {
  return kWhole ? vld1q_u8(from) : neon_some_bytes(from, count);
}

/// Sums of channels `at` to `at` + 15, as clamped bytes. Not inlined: what it needs registers for
/// is no part of the loops before it.
__attribute__((noinline)) void neon_store(const FixedStore& s, int at, int lanes, int32x4_t s0,
                                          int32x4_t s1, int32x4_t s2, int32x4_t s3,
                                          const uint8_t* z, uint8_t* out) {
  const int32x4_t sum[4] = {s0, s1, s2, s3};
  int32x4_t t[4];
  if (z) {
    const uint8x16_t bytes = neon_some_bytes(z + at, lanes - at);
    const int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
    const int16x8_t high = vreinterpretq_s16_u16(vmovl_high_u8(bytes));
    const int32x4_t adds[4] = {vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low),
                               vmovl_s16(vget_low_s16(high)), vmovl_high_s16(high)};
    each<4>([&](auto i) RELUFLOW_INLINE {
      t[i.value] = neon_scaled(s, at + 4 * i.value, sum[i.value], adds + i.value);
    });
  } else {
    each<4>([&](auto i) RELUFLOW_INLINE {
      t[i.value] = neon_scaled(s, at + 4 * i.value, sum[i.value], nullptr);
    });
  }
  // Narrowing saturates, so that the bounds can be those of bytes.
  const int16x8_t low = vqmovn_high_s32(vqmovn_s32(t[0]), t[1]);
  const int16x8_t high = vqmovn_high_s32(vqmovn_s32(t[2]), t[3]);
  uint8x16_t bytes = vqmovun_high_s16(vqmovun_s16(low), high);
  bytes = vmaxq_u8(bytes, vdupq_n_u8(static_cast<uint8_t>(s.low)));
  bytes = vminq_u8(bytes, vdupq_n_u8(static_cast<uint8_t>(s.high)));
  neon_store_some(out + at, bytes, lanes - at);
}

}  // namespace

}  // namespace reluflow

#endif
