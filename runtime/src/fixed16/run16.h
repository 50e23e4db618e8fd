// What one run of a convolution of 16 bits is given, and what its ways of summing share.
#ifndef RELUFLOW_FIXED16_RUN16_H
#define RELUFLOW_FIXED16_RUN16_H

#include <atomic>
#include <cstdint>

#include "base/runner.h"
#include "base/status.h"
#include "fixed16/weights16.h"
#include "spec/conv_shape.h"

namespace reluflow {

constexpr int kMostFormatSteps = 14;  ///< between the exponents of Y and Z, at most

/// One run of a convolution; exponents f of a value v 2^-f.
struct Run16 {
  const ConvSpec& conv;
  const ConvShape& shape;
  const PsbSpec& psb;
  const Kernels& kernels;
  const Weights16& weights;
  const Set16& set;  ///< drawn weights
  const int16_t* x;  ///< [batch, spatial..., inputs]
  int x_exponent;
  const int8_t* emax;  ///< [outputs]
  const float* bias;   ///< [outputs] or null
  int16_t* y;          ///< [batch, spatial..., outputs]
  int y_exponent;
  int low;           ///< least value of y
  int high;          ///< largest value of y
  const int16_t* z;  ///< like y, added before the clamp, or null
  int z_exponent;
};

/// How the sums of a block of output channels, wide or not, become values; the channel in lane i is
/// `channels[i]` behind the block's first.
void make_store16(const Run16& run, const OutputBlock& block, bool wide, const int* channels,
                  Fixed16Store* out);

/// Input rows that the windows of output rows [begin, end) see, cut to the image.
struct RowRange {
  int64_t begin;
  int64_t end;
};
RowRange rows_seen(const Run16& run, int64_t begin, int64_t end);

/// Looks for the largest magnitude of X, piece by piece, by several threads.
class Largest {
 public:
  void see(const Run16& run, int64_t image, RowRange rows);
  /// A sentence where a value is beyond x_bits.
  Status check(const PsbSpec& psb) const;

 private:
  std::atomic<int> most_{0};
};

}  // namespace reluflow

#endif
