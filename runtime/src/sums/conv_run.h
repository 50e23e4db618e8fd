// The arguments of one run of a convolution, for the sums of PsbConv, plain or depthwise.
#ifndef RELUFLOW_SUMS_CONV_RUN_H
#define RELUFLOW_SUMS_CONV_RUN_H

#include <cstdint>

#include "kernels/kernels.h"
#include "spec/conv_shape.h"
#include "spec/psb_spec.h"
#include "spec/region.h"
#include "weights/weights.h"

namespace reluflow {

/// One run of a convolution.
struct ConvRun {
  const PsbSpec& psb;
  const ConvSpec& conv;
  const ConvShape& shape;
  const Kernels& kernels;
  Weights& weights;
  Precision precision;
  const float* x;            ///< [batch, inputs, spatial...]
  const int8_t* emax;        ///< [outputs]
  const float* bias;         ///< [outputs] or null
  float* y;                  ///< [batch, outputs, spatial...]
  const float* z = nullptr;  ///< like y, added before the activation, or null
  /// The pixels of y that are computed; null: all. Others are neither read nor written.
  const Region* region = nullptr;
};

}  // namespace reluflow

#endif
