// What one run of a convolution of 16 bits is given, and what its ways of summing share.
#ifndef RELUFLOW_FIXED16_RUN16_H
#define RELUFLOW_FIXED16_RUN16_H

#include <atomic>
#include <cstdint>

#include "base/runner.h"
#include "base/status.h"
#include "fixed16/stores16.h"
#include "fixed16/weights16.h"
#include "spec/conv_shape.h"
#include "spec/region.h"

namespace reluflow {

constexpr int kMostFormatSteps = 14;  ///< between the exponents of Y and Z, at most

/// One run of a convolution. Its weights are a drawn set, or are drawn block by block on the way.
struct Run16 {
  const ConvSpec& conv;
  const ConvShape& shape;
  const PsbSpec& psb;
  const Kernels& kernels;
  const Weights16& weights;
  const Set16* set;  ///< drawn weights, or null
  const Precision& precision;
  const Stores16& stores;
  const int16_t* x;      ///< [batch, spatial..., inputs]
  int16_t* y;            ///< [batch, spatial..., outputs]
  const int16_t* z;      ///< like y, added before the clamp, or null
  const Region* region;  ///< the pixels of y that are computed, or null for all
};

/// Input rows that the windows of output rows [begin, end) see, cut to the image.
struct RowRange {
  int64_t begin;
  int64_t end;
};
RowRange rows_seen(const Run16& run, int64_t begin, int64_t end);

/// Makes `range` hold `other`, too.
void widen(const Range16& other, Range16* range);

/// Looks for the largest magnitude of X, piece by piece, by several threads.
class Largest {
 public:
  /// The range of some rows, and whether it is within x_bits: where it is not, sums may overflow.
  bool see(const Run16& run, int64_t image, RowRange rows, Range16* range);
  /// Takes a range into account; false where it is not within x_bits.
  bool add(const PsbSpec& psb, const Range16& range);
  /// A sentence where a value is beyond x_bits.
  Status check(const PsbSpec& psb) const;

 private:
  std::atomic<int> most_{0};
};

}  // namespace reluflow

#endif
