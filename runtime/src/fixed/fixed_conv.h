// Convolutions of bytes with the channels last: docs/psb-ops.md, "Chains".
#ifndef RELUFLOW_FIXED_FIXED_CONV_H
#define RELUFLOW_FIXED_FIXED_CONV_H

#include "fixed/fixed_run.h"

namespace reluflow {

/// Sums in tiles of six pixels and 64 output channels.
Status run_fixed_conv(Runner& runner, const FixedConvRun& run);

}  // namespace reluflow

#endif
