// Tables of 256 bytes: tbl and tbx look up 16 bytes in 64 entries.
//
// In an unnamed namespace, as all bodies: the tables of NEON compile a copy each.
#ifndef RELUFLOW_KERNELS_NEON_FIXED_DRAW_BODY_H
#define RELUFLOW_KERNELS_NEON_FIXED_DRAW_BODY_H

#include <arm_neon.h>

#include "kernels/fixed_args.h"
#include "kernels/neon/unrolled_body.h"

namespace reluflow {

namespace {

constexpr int kTableQuarter = 64;  ///< entries of a table in four registers

/// found[i] = table[at[i]] for four vectors; entries below `kFrom` are 0.
template <int kFrom>
RELUFLOW_INLINE inline void neon_look_up(const uint8_t* table, const uint8x16_t* at,
                                         uint8x16_t* found) {
  each<4>([&](auto i) RELUFLOW_INLINE { found[i.value] = vdupq_n_u8(0); });
  each<4>([&](auto part) RELUFLOW_INLINE {
    constexpr int kBegin = part.value * kTableQuarter;
    if constexpr (kBegin >= kFrom) {
      const uint8x16x4_t entries = vld1q_u8_x4(table + kBegin);
      // What lies outside of the 64 entries leaves the byte as it is.
      each<4>([&](auto i) RELUFLOW_INLINE {
        const uint8x16_t index = vsubq_u8(at[i.value], vdupq_n_u8(kBegin));
        found[i.value] = vqtbx4q_u8(found[i.value], entries, index);
      });
    }
  });
}

/// Where the weights of 64 bits are negative, as bytes of ones.
RELUFLOW_INLINE inline void neon_signs(uint64_t bits, uint8x16_t* negative) {
  const uint8x16_t all = vreinterpretq_u8_u64(vdupq_n_u64(bits));
  const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201ull));
  each<4>([&](auto i) RELUFLOW_INLINE {
    const uint8x8_t low = vdup_n_u8(2 * i.value);
    const uint8x16_t spread = vcombine_u8(low, vdup_n_u8(2 * i.value + 1));
    negative[i.value] = vtstq_u8(vqtbl1q_u8(all, spread), bit);
  });
}

/// Magnitudes with their signs.
RELUFLOW_INLINE inline uint8x16_t with_sign(uint8x16_t w, uint8x16_t negative) {
  return vsubq_u8(veorq_u8(w, negative), negative);
}

/// Draws 64 weights: the magnitude is the larger one where the carry wraps.
RELUFLOW_INLINE inline void neon_draw_row(const FixedTables& t, const uint8x16_t* code,
                                          const uint8x16_t* negative, uint8_t* carry, int8_t* out) {
  uint8x16_t chance[4];
  uint8x16_t low[4];
  uint8x16_t high[4];
  neon_look_up<0>(t.chance, code, chance);
  neon_look_up<kFixedSmall>(t.low, code, low);
  neon_look_up<kFixedSmall>(t.high, code, high);
  each<4>([&](auto i) RELUFLOW_INLINE {
    constexpr int v = i.value;
    const uint8x16_t before = vld1q_u8(carry + 16 * v);
    const uint8x16_t next = vaddq_u8(before, with_sign(chance[v], negative[v]));
    vst1q_u8(carry + 16 * v, next);
    // A sum wrapped where it is below the chance, a difference where what it was taken from is.
    const uint8x16_t up = vcltq_u8(vbslq_u8(negative[v], before, next), chance[v]);
    const uint8x16_t larger = vmaxq_u8(high[v], vdupq_n_u8(1));
    const uint8x16_t w = with_sign(vbslq_u8(up, larger, low[v]), negative[v]);
    vst1q_s8(out + 16 * v, vreinterpretq_s8_u8(w));
  });
}

void neon_fixed_draw(const FixedDrawArgs& d) {
  for (int64_t row = 0; row < d.quads * d.vectors; ++row) {
    uint8x16_t code[4];
    uint8x16_t negative[4];
    each<4>([&](auto i)
                RELUFLOW_INLINE { code[i.value] = vld1q_u8(d.codes + 64 * row + 16 * i.value); });
    neon_signs(d.signs[row], negative);
    int8_t* out = d.out + 64 * row;
    if (d.tables) {
      neon_draw_row(*d.tables, code, negative, d.carry + row % d.vectors * 64, out);
      continue;
    }
    uint8x16_t w[4];
    neon_look_up<0>(d.nearest, code, w);
    each<4>([&](auto i) RELUFLOW_INLINE {
      vst1q_s8(out + 16 * i.value, vreinterpretq_s8_u8(with_sign(w[i.value], negative[i.value])));
    });
  }
}

void neon_fixed_table(uint8_t* values, int64_t n, const uint8_t* table) {
  int64_t i = 0;
  for (; i + 64 <= n; i += 64) {
    uint8x16_t at[4];
    uint8x16_t found[4];
    each<4>([&](auto v) RELUFLOW_INLINE { at[v.value] = vld1q_u8(values + i + 16 * v.value); });
    neon_look_up<0>(table, at, found);
    each<4>([&](auto v) RELUFLOW_INLINE { vst1q_u8(values + i + 16 * v.value, found[v.value]); });
  }
  for (; i < n; ++i) values[i] = table[values[i]];
}

}  // namespace

}  // namespace reluflow

#endif
