// Chains of bytes in plain C++.
//
// In an unnamed namespace on purpose: every table includes this and compiles a copy of its own. No
// function of the standard library may be called here: its inline copies, compiled for one
// instruction set, could be linked into the code of another.
#ifndef RELUFLOW_KERNELS_PORTABLE_FIXED_BODY_H
#define RELUFLOW_KERNELS_PORTABLE_FIXED_BODY_H

#include "kernels/fixed_args.h"
#include "kernels/portable/loops_body.h"

namespace reluflow {

namespace {

inline uint8_t fixed_byte(const FixedStore& s, int lane, int32_t t, const uint8_t* z) {
  if (s.adjusts) {
    t += s.before[lane];
    t = t < -s.most[lane] ? -s.most[lane] : t > s.most[lane] ? s.most[lane] : t;
    t = static_cast<int32_t>(static_cast<uint32_t>(t) << s.up[lane]);
    t = (t + (1 << s.down[lane] >> 1)) >> s.down[lane];
  }
  t += s.add[lane];
  if (z) t += static_cast<int32_t>(z[lane]) << s.z_shift[lane];
  t >>= s.shift[lane];
  return static_cast<uint8_t>(t < s.low ? s.low : t > s.high ? s.high : t);
}

[[maybe_unused]] void common_fixed_tile(int pixels, int vectors, const FixedTileArgs& args) {
  const int width = 16 * vectors;
  for (int p = 0; p < pixels; ++p) {
    int32_t sum[64] = {};
    for (int64_t q = 0; q < args.quads; ++q) {
      const uint8_t* x = args.pixels[p] + args.offsets[q];
      const int8_t* w = args.weights + q * kQuad * width;
      const int32_t x0 = x[0];
      const int32_t x1 = x[1];
      const int32_t x2 = x[2];
      const int32_t x3 = x[3];
      for (int lane = 0; lane < width; ++lane, w += kQuad) {
        sum[lane] += x0 * w[0] + x1 * w[1] + x2 * w[2] + x3 * w[3];
      }
    }
    if (args.sums) {
      for (int lane = 0; lane < 64; ++lane) args.sums[64 * p + lane] = sum[lane];
      continue;
    }
    for (int lane = 0; lane < args.lanes; ++lane) {
      args.out[p][lane] = fixed_byte(*args.store, lane, sum[lane], args.z ? args.z[p] : nullptr);
    }
  }
}

[[maybe_unused]] void common_fixed_depthwise(const FixedDepthwiseArgs& a) {
  for (int64_t p = 0; p < a.width; ++p) {
    int32_t sum[64] = {};
    const int8_t* w = a.weights;
    for (int i = 0; i < a.kernel_rows; ++i) {
      for (int j = 0; j < a.kernel_columns; ++j, w += 64) {
        const uint8_t* x = a.x + p * a.step + i * a.row + j * a.tap;
        for (int lane = 0; lane < a.lanes; ++lane) sum[lane] += x[lane] * w[lane];
      }
    }
    const uint8_t* z = a.z ? a.z + p * a.out_step : nullptr;
    uint8_t* out = a.out + p * a.out_step;
    for (int lane = 0; lane < a.lanes; ++lane) {
      out[lane] = fixed_byte(*a.store, lane, sum[lane], z);
    }
  }
}

[[maybe_unused]] void common_fixed_draw(const FixedDrawArgs& d) {
  const int64_t row = int64_t{64} * d.vectors;
  for (int64_t i = 0; i < row * d.quads; ++i) {
    const uint8_t code = d.codes[i];
    const bool negative = d.signs[i / 64] >> (i % 64) & 1;
    int magnitude = d.tables ? d.tables->low[code] : d.nearest[code];
    if (d.tables) {
      uint8_t& r = d.carry[i % row];
      const uint8_t chance = d.tables->chance[code];
      const uint8_t next = static_cast<uint8_t>(negative ? r - chance : r + chance);
      if ((negative ? r : next) < chance) magnitude = d.tables->high[code];
      r = next;
    }
    d.out[i] = static_cast<int8_t>(negative ? -magnitude : magnitude);
  }
}

[[maybe_unused]] void common_fixed_sums(const int8_t* weights, int64_t quads, int vectors,
                                        int32_t* sums) {
  const int width = 16 * vectors;
  for (int64_t q = 0; q < quads; ++q, weights += kQuad * width) {
    for (int lane = 0; lane < width; ++lane) {
      const int8_t* w = weights + kQuad * lane;
      sums[lane] += w[0] + w[1] + w[2] + w[3];
    }
  }
}

/// clamp(round_half_even(x * scale) + zero, 0, 255), NaN as 0. The bounds are whole numbers.
inline uint8_t fixed_of(float x, float scale, int zero) {
  float t = x * scale;
  t = t == t ? t : 0.0f;
  const float low = static_cast<float>(-zero);
  const float high = static_cast<float>(255 - zero);
  t = t < high ? t : high;
  t = t > low ? t : low;
  return static_cast<uint8_t>(static_cast<int32_t>(bits_of(t + 12582912.0f)) - 0x4b400000 + zero);
}

[[maybe_unused]] void common_fixed_pack(const FixedPackArgs& a) {
  for (int64_t p = 0; p < a.pixels; ++p) {
    for (int c = 0; c < a.stored; ++c) {
      a.out[p * a.step + c] = c < a.channels ? fixed_of(a.x[c * a.plane + p], a.scale, a.zero)
                                             : static_cast<uint8_t>(a.zero);
    }
  }
}

[[maybe_unused]] void common_fixed_max(const uint8_t* x, int64_t n, uint8_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = out[i] > x[i] ? out[i] : x[i];
}

[[maybe_unused]] void common_fixed_table(uint8_t* values, int64_t n, const uint8_t* table) {
  for (int64_t i = 0; i < n; ++i) values[i] = table[values[i]];
}

}  // namespace

}  // namespace reluflow

#endif
