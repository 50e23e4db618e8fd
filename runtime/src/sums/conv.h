// PsbConv without its host: numbers in, numbers out.
#ifndef RELUFLOW_SUMS_CONV_H
#define RELUFLOW_SUMS_CONV_H

#include "base/runner.h"
#include "base/status.h"
#include "spec/conv_shape.h"
#include "sums/conv_run.h"
#include "weights/lanes.h"

namespace reluflow {

/// How the weights are laid out for `run_conv`.
LaneShape lane_shape(const ConvSpec& conv);

/// Computes `y`.
Status run_conv(Runner& runner, const ConvRun& given);

}  // namespace reluflow

#endif
