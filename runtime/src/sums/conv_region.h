// The pixels of a region, computed by themselves: docs/psb-ops.md, "Regions".
#ifndef RELUFLOW_SUMS_CONV_REGION_H
#define RELUFLOW_SUMS_CONV_REGION_H

#include "base/runner.h"
#include "base/status.h"
#include "sums/conv_run.h"

namespace reluflow {

/// Computes the pixels of `run.region`, which has some; `f` is the exponent of the whole input.
Status run_region(Runner& runner, const ConvRun& run, int f);

}  // namespace reluflow

#endif
