// Fingerprints of blocked tensors: two comparisons make the bits of 8 units.
//
// In an unnamed namespace, as all bodies: the tables of NEON compile a copy each.
#ifndef RELUFLOW_KERNELS_NEON_BLOCKED_HASH_BODY_H
#define RELUFLOW_KERNELS_NEON_BLOCKED_HASH_BODY_H

#include <arm_neon.h>

#include "kernels/kernels.h"
#include "kernels/portable/blocked_hash_body.h"

namespace reluflow {

namespace {

void neon_blocked_hash(BlockedHashArgs& h) {
  const uint32_t place[8] = {1, 2, 4, 8, 16, 32, 64, 128};
  const uint32x4_t low_bits = vld1q_u32(place);
  const uint32x4_t high_bits = vld1q_u32(place + 4);
  const float32x4_t threshold = vdupq_n_f32(h.threshold);
  const uint32x4_t magnitude = vdupq_n_u32(0x7fffffff);
  each_eight(h, [&](const float* x, const uint64_t* nibbles, int64_t lanes, int32_t* active) {
    uint32x4_t counts[2] = {vdupq_n_u32(0), vdupq_n_u32(0)};
    uint32x4_t largest = vdupq_n_u32(0);
    for (int64_t s = 0; s < h.samples; ++s) {
      const float32x4_t low = vld1q_f32(x + s * h.block);
      const float32x4_t high = vld1q_f32(x + s * h.block + 4);
      const uint32x4_t low_on = vcgtq_f32(low, threshold);
      const uint32x4_t high_on = vcgtq_f32(high, threshold);
      counts[0] = vsubq_u32(counts[0], low_on);
      counts[1] = vsubq_u32(counts[1], high_on);
      largest = vmaxq_u32(largest, vandq_u32(vreinterpretq_u32_f32(low), magnitude));
      largest = vmaxq_u32(largest, vandq_u32(vreinterpretq_u32_f32(high), magnitude));
      const uint32_t bits =
          vaddvq_u32(vorrq_u32(vandq_u32(low_on, low_bits), vandq_u32(high_on, high_bits)));
      uint64_t* key = h.keys + 2 * s;
      const uint64x2_t first = vld1q_u64(nibbles + 2 * (bits & 15u));
      const uint64x2_t second = vld1q_u64(nibbles + 32 + 2 * (bits >> 4));
      vst1q_u64(key, veorq_u64(vld1q_u64(key), veorq_u64(first, second)));
    }
    vst1q_s32(active, vreinterpretq_s32_u32(counts[0]));
    vst1q_s32(active + 4, vreinterpretq_s32_u32(counts[1]));
    if (vmaxvq_u32(largest) < 0x7f800000u) return int64_t{0};
    return count_nonfinite(x, h.samples, h.block, lanes);
  });
}

}  // namespace

}  // namespace reluflow

#endif
