// Convolutions of bytes in which every channel sees only itself.
#ifndef RELUFLOW_FIXED_FIXED_DEPTHWISE_H
#define RELUFLOW_FIXED_FIXED_DEPTHWISE_H

#include "fixed/fixed_run.h"

namespace reluflow {

/// Sums row by row, 64 channels at once; `columns` as the set's weights are arranged.
Status run_fixed_depthwise(Runner& runner, const FixedConvRun& run, FixedColumns columns);

}  // namespace reluflow

#endif
