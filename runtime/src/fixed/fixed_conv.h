// Convolutions of bytes with the channels last: docs/psb-ops.md, "Chains".
#ifndef RELUFLOW_FIXED_FIXED_CONV_H
#define RELUFLOW_FIXED_FIXED_CONV_H

#include "fixed/fixed_run.h"

namespace reluflow {

/// Whether weights are better drawn block by block, next to their use, than as a set before it:
/// where few output pixels share a weight, writing the set and reading it again costs as much as
/// the sums.
bool draws_by_blocks(const GridCode& code, int64_t pixels);

/// Sums in tiles of six pixels and 64 output channels.
Status run_fixed_conv(Runner& runner, const FixedConvRun& run);

}  // namespace reluflow

#endif
