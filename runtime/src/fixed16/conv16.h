// Convolutions of 16 bits with the channels last: docs/psb-ops.md, "Chains of 16 bits".
#ifndef RELUFLOW_FIXED16_CONV16_H
#define RELUFLOW_FIXED16_CONV16_H

#include "fixed16/run16.h"

namespace reluflow {

/// Sums in tiles of neighbouring pixels and 64 output channels.
Status run_conv16(Runner& runner, const Run16& run);

}  // namespace reluflow

#endif
