// PsbConv without its host: numbers in, numbers out.
#ifndef RELUFLOW_CONV_H
#define RELUFLOW_CONV_H

#include <cstdint>

#include "conv_shape.h"
#include "kernels.h"
#include "psb_spec.h"
#include "runner.h"
#include "weights.h"

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
};

/// How the weights are laid out for `run_conv`.
LaneShape lane_shape(const ConvSpec& conv);

/// Computes `y`.
Status run_conv(Runner& runner, const ConvRun& run);

}  // namespace reluflow

#endif
