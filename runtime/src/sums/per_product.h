// Every product with its own draws, as a multiplier-free circuit would do: slow and simple.
#ifndef RELUFLOW_SUMS_PER_PRODUCT_H
#define RELUFLOW_SUMS_PER_PRODUCT_H

#include <cstdint>

#include "spec/psb_spec.h"
#include "sums/conv_run.h"
#include "weights/lanes.h"
#include "weights/weight_code.h"

namespace reluflow {

struct ProductRun {
  const PsbSpec& psb;
  const WeightCode& code;
  Precision precision;
  int f;
  const int8_t* emax;
  const float* bias;  ///< or null
  LaneShape shape;
};

/// That of a convolution.
ProductRun product_run(const ConvRun& run, int f);

/// Where the outputs of a position go: channel m to `y[m * stride]`.
struct ProductOutput {
  float* y;
  const float* z;  ///< added before the activation, or null
  int64_t stride;
};

/// All output channels at output position `v`.
///
/// `x` is the window's first packed pixel of group 0, `offsets` that of each pair from there,
/// `group_stride` from one group to the next.
void position(const ProductRun& run, int64_t v, const int32_t* x, const int64_t* offsets,
              int64_t group_stride, const ProductOutput& out);

}  // namespace reluflow

#endif
