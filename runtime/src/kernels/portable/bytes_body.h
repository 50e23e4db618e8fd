// Bytes of chains one by one, in plain C++ that a compiler turns into vectors.
//
// In an unnamed namespace on purpose: every table includes this and compiles a copy of its own. No
// function of the standard library may be called here: its inline copies, compiled for one
// instruction set, could be linked into the code of another.
#ifndef RELUFLOW_KERNELS_PORTABLE_BYTES_BODY_H
#define RELUFLOW_KERNELS_PORTABLE_BYTES_BODY_H

#include "kernels/bytes_args.h"

namespace reluflow {

namespace {

inline int32_t shifted(int32_t value, const ByteShift& s) {
  const int32_t up = static_cast<int32_t>(static_cast<uint32_t>(value - s.zero) << s.up);
  return (up + s.half) >> s.down;
}

inline uint8_t byte_of(int32_t y, const ByteStore& s) {
  const int32_t t = (y + s.half) >> s.shift;
  return static_cast<uint8_t>((t < s.low ? s.low : t > s.high ? s.high : t) + s.zero);
}

[[maybe_unused]] void common_bytes_add(const BytesAddArgs& args) {
  const ByteShift a = args.a_shift;
  const ByteShift b = args.b_shift;
  const ByteStore store = args.store;
  for (int64_t i = 0; i < args.n; ++i) {
    args.out[i] = byte_of(shifted(args.a[i], a) + shifted(args.b[i], b), store);
  }
}

[[maybe_unused]] void common_bytes_mul(const BytesMulArgs& args) {
  const int32_t x_zero = args.x_zero;
  const int32_t s_zero = args.s_zero;
  const int up = args.up;
  const ByteStore store = args.store;
  for (int64_t i = 0; i < args.n; ++i) {
    const int32_t product = (args.x[i] - x_zero) * (args.s[i] - s_zero);
    args.out[i] = byte_of(static_cast<int32_t>(static_cast<uint32_t>(product) << up), store);
  }
}

[[maybe_unused]] void common_bytes_sum(const uint8_t* x, int64_t n, int32_t* sums) {
  for (int64_t i = 0; i < n; ++i) sums[i] += x[i];
}

[[maybe_unused]] void common_bytes_mean(const int32_t* sums, int64_t n, const ByteMean& mean,
                                        uint8_t* out) {
  const ByteMean m = mean;
  for (int64_t i = 0; i < n; ++i) {
    double t = (static_cast<double>(sums[i]) * m.scale + m.add) / m.divisor;
    t = t > 0.0 ? t : 0.0;
    t = t < kMostMean ? t : kMostMean;
    const int32_t y = static_cast<int32_t>(t) - kMeanOffset + m.zero;
    out[i] = static_cast<uint8_t>(y < m.low ? m.low : y > m.high ? m.high : y);
  }
}

template <class Value>
[[maybe_unused]] void common_mix(const MixArgs<Value>& args) {
  const int32_t a = args.weights[0];
  const int32_t b = args.weights[1];
  const int32_t c = args.weights[2];
  const int32_t d = args.weights[3];
  for (int64_t i = 0; i < args.n; ++i) {
    const int32_t sum = args.x[0][i] * a + args.x[1][i] * b + args.x[2][i] * c + args.x[3][i] * d;
    args.out[i] = static_cast<Value>((sum + (1 << (2 * kMixBits - 1))) >> (2 * kMixBits));
  }
}

}  // namespace

}  // namespace reluflow

#endif
