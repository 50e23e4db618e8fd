// Convolutions with one input channel per group: docs/psb-ops.md, "Sum".
//
// All products of an output are one exact block, so they may be paired in any way. Two weights
// share a word of two pixels: pixels of neighbouring rows at stride 1, where one pass over the
// words gives two output rows; neighbours of a row at a column stride of 2. No lane is left empty,
// except for the last of an odd number of taps.
#ifndef RELUFLOW_SUMS_DEPTHWISE_H
#define RELUFLOW_SUMS_DEPTHWISE_H

#include <cstdint>

#include "base/runner.h"
#include "base/status.h"
#include "spec/conv_shape.h"
#include "sums/conv_run.h"
#include "weights/pair_order.h"

namespace reluflow {

/// Which weights share the words of a depthwise channel.
PairOrder depthwise_pairs(const ConvSpec& conv);

/// Computes `run.y` with the drawn weights `weights`, laid out as by `run.weights.lanes()`.
Status run_depthwise(Runner& runner, const ConvRun& run, const int16_t* weights, int f);

/// The same of the pixels of `run.region`: neighbouring rows are summed between its first and last
/// column, and its pixels taken from there.
Status run_depthwise_region(Runner& runner, const ConvRun& run, const int16_t* weights, int f);

}  // namespace reluflow

#endif
