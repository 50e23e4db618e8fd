// How long int32 holds the sums of a block of output channels.
#ifndef RELUFLOW_WEIGHTS_EXACT_RUNS_H
#define RELUFLOW_WEIGHTS_EXACT_RUNS_H

#include <cstdint>
#include <vector>

#include "weights/pair_order.h"
#include "weights/weight_code.h"

namespace reluflow {

/// Inputs of magnitude `most`, at most, and from 0 on where they are not `negative`.
struct InputBound {
  int64_t most;
  bool negative;
};

/// Output channels [first, first + lanes).
struct ChannelRange {
  int64_t first;
  int lanes;
};

/// Where each run of pairs ends, for each bound of the inputs: no draw of a run's weights sums up
/// to more than kRunMost in any of the channels. A run ends with each exact block of the order,
/// too.
std::vector<std::vector<int64_t>> exact_runs(const WeightCode& code, const PairOrder& order,
                                             const ChannelRange& channels,
                                             const std::vector<InputBound>& bounds);

/// The runs of one channel whose output rows, as many as the order has blocks of equal size, go
/// through their pairs side by side: a run ends in all rows at once.
std::vector<int64_t> row_runs(const WeightCode& code, const PairOrder& order, int64_t channel,
                              const InputBound& bound);

}  // namespace reluflow

#endif
