// Chains of 16 bits in plain C++.
//
// In an unnamed namespace on purpose: every table includes this and compiles a copy of its own. No
// function of the standard library may be called here: its inline copies, compiled for one
// instruction set, could be linked into the code of another.
#ifndef RELUFLOW_KERNELS_PORTABLE_FIXED16_BODY_H
#define RELUFLOW_KERNELS_PORTABLE_FIXED16_BODY_H

#include "kernels/fixed16_args.h"
#include "kernels/portable/loops_body.h"

namespace reluflow {

namespace {

inline int32_t shifted_left(int32_t v, int32_t bits) {
  return static_cast<int32_t>(static_cast<uint32_t>(v) << bits);
}

/// `t` is a sum that has the unit of the store; `z` is what to add, or null.
inline int16_t fixed16_scaled(const Fixed16Store& s, int lane, int32_t t, const int16_t* z) {
  if (s.raises) {
    const int32_t most = s.most[lane];
    t = t < -most ? -most : t > most ? most : t;
    t = shifted_left(t, s.up[lane]);
  }
  t += s.add[lane];
  if (z) t += shifted_left(*z, s.z_shift[lane]);
  t >>= s.shift[lane];
  return static_cast<int16_t>(t < s.low ? s.low : t > s.high ? s.high : t);
}

/// A sum, in two parts where `high` is not 0, in the unit of the store.
inline int32_t fixed16_settled(const Fixed16Store& s, int lane, int32_t sum, int32_t high) {
  int32_t t = s.rounds ? (sum + s.half[lane]) >> s.down[lane] : sum;
  t += shifted_left(high, s.left[lane]);
  return s.deep ? (t + s.half2[lane]) >> s.down2[lane] : t;
}

[[maybe_unused]] void common_fixed16_store(const Fixed16StoreArgs& a) {
  const Fixed16Store& s = *a.store;
  for (int p = 0; p < a.pixels; ++p) {
    const int32_t* sums = a.sums + p * kTileLanes;
    const int32_t* high = a.high ? a.high + p * kTileLanes : nullptr;
    const int16_t* z = a.z ? a.z[p] : nullptr;
    int16_t* out = a.out[p];
    for (int lane = 0; lane < a.lanes; ++lane) {
      const int32_t t = fixed16_settled(s, lane, sums[lane], high ? high[lane] : 0);
      out[lane] = fixed16_scaled(s, lane, t, z ? z + lane : nullptr);
    }
  }
}

[[maybe_unused]] void common_fixed16_depthwise(const Fixed16DepthwiseArgs& a) {
  const Fixed16Store& s = *a.store;
  for (int64_t p = 0; p < a.width; ++p) {
    int32_t sum[kTileLanes] = {};
    int32_t high[kTileLanes] = {};
    int64_t run = 0;
    for (int64_t q = 0; q < a.pairs; ++q) {
      if (q == a.ends[run]) {
        ++run;
        for (int at = 0; at < kTileLanes; ++at) {
          high[at] += sum[at] >> kHighBits;
          sum[at] &= (1 << kHighBits) - 1;
        }
      }
      const int16_t* first = a.taps[2 * q] + a.offset + p * a.step;
      const int16_t* second = a.taps[2 * q + 1] + a.offset + p * a.step;
      const int16_t* w = a.weights + q * 2 * kTileLanes;
      for (int at = 0; at < kTileLanes; ++at) {
        const int channel = depthwise16_channel(at / kLanes, at % kLanes);
        if (channel >= a.lanes) continue;
        sum[at] += first[channel] * w[2 * at] + second[channel] * w[2 * at + 1];
      }
    }
    const int16_t* z = a.z ? a.z + p * a.out_step : nullptr;
    int16_t* out = a.out + p * a.out_step;
    for (int at = 0; at < kTileLanes; ++at) {
      const int channel = depthwise16_channel(at / kLanes, at % kLanes);
      if (channel >= a.lanes) continue;
      out[channel] = fixed16_scaled(s, at, fixed16_settled(s, at, sum[at], high[at]),
                                    z ? z + channel : nullptr);
    }
  }
}

[[maybe_unused]] void common_fixed16_pack(const Fixed16PackArgs& a) {
  for (int64_t p = 0; p < a.pixels; ++p) {
    for (int64_t c = 0; c < a.channels; ++c) {
      a.out[p * a.step + c] =
          static_cast<int16_t>(quantise(a.x[c * a.plane + p], a.scale, a.limit));
    }
  }
}

[[maybe_unused]] void common_fixed16_max(const int16_t* const* taps, int64_t count, int64_t n,
                                         int16_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = taps[0][i];
  for (int64_t t = 1; t < count; ++t) {
    const int16_t* x = taps[t];
    for (int64_t i = 0; i < n; ++i) out[i] = out[i] > x[i] ? out[i] : x[i];
  }
}

[[maybe_unused]] Range16 common_fixed16_range(const int16_t* x, int64_t n) {
  int16_t largest = 0;
  int16_t least = 0;
  for (int64_t i = 0; i < n; ++i) {
    largest = largest > x[i] ? largest : x[i];
    least = least < x[i] ? least : x[i];
  }
  return {least, largest};
}

}  // namespace

}  // namespace reluflow

#endif
