// Convolutions of 16 bits with the channels last: docs/psb-ops.md, "Chains of 16 bits".
#ifndef RELUFLOW_FIXED16_CONV16_H
#define RELUFLOW_FIXED16_CONV16_H

#include "fixed16/run16.h"

namespace reluflow {

/// Whether weights are better drawn block by block, next to their use, than as a set before it:
/// where few pixels share a weight, writing the set and reading it again costs as much as the sums.
bool draws_by_blocks16(const Weights16& weights, int64_t pixels);

/// Sums in tiles of neighbouring pixels and 64 output channels.
Status run_conv16(Runner& runner, const Run16& run);

}  // namespace reluflow

#endif
