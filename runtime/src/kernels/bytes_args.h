// What the loops over bytes of a chain are given: docs/psb-ops.md, "Chains".
#ifndef RELUFLOW_KERNELS_BYTES_ARGS_H
#define RELUFLOW_KERNELS_BYTES_ARGS_H

#include <cstdint>

namespace reluflow {

/// The term of an operand: (((u - zero) << up) + half) >> down; `up` or `down` is 0.
struct ByteShift {
  int32_t zero;
  int up;
  int32_t half;  ///< 2^down / 2
  int down;
};

/// How a number becomes a byte: clamp((t + half) >> shift, low, high) + zero.
struct ByteStore {
  int32_t half;  ///< 2^shift / 2
  int shift;
  int32_t low;  ///< bounds before the zero point is added
  int32_t high;
  int32_t zero;
};

struct BytesAddArgs {
  const uint8_t* a;
  const uint8_t* b;
  int64_t n;
  ByteShift a_shift;
  ByteShift b_shift;
  ByteStore store;
  uint8_t* out;
};

/// (x - x_zero) * (s - s_zero) << up, stored.
struct BytesMulArgs {
  const uint8_t* x;
  const uint8_t* s;
  int64_t n;
  int32_t x_zero;
  int32_t s_zero;
  int up;
  ByteStore store;
  uint8_t* out;
};

constexpr int kMixBits = 7;  ///< of the weight of a neighbour along one axis

/// out = (sum of four x times their weights + 2^13) >> 14; the weights add up to 2^14.
template <class Value>
struct MixArgs {
  const Value* x[4];
  int16_t weights[4];
  int64_t n;
  Value* out;
};

constexpr int32_t kMeanOffset = 512;  ///< more than a byte: keeps what is truncated positive
constexpr double kMostMean = 2.0 * kMeanOffset;

/// How a sum becomes the byte of a mean: t = (sum * scale + add) / divisor, kept in
/// [0, kMostMean]; clamp(trunc(t) - kMeanOffset + zero, low, high). The numerator is exact where
/// it is below 2^53, and a quotient of whole numbers is then never rounded up to the next one.
struct ByteMean {
  double scale;
  double add;  ///< the zero point of x, one half and kMeanOffset
  double divisor;
  int32_t zero;
  int32_t low;
  int32_t high;
};

}  // namespace reluflow

#endif
