// Convolutions of 16 bits in which every channel sees only itself.
#ifndef RELUFLOW_FIXED16_DEPTHWISE16_H
#define RELUFLOW_FIXED16_DEPTHWISE16_H

#include "fixed16/run16.h"

namespace reluflow {

/// Sums row by row, 64 channels at once, without a copy of the input.
Status run_depthwise16(Runner& runner, const Run16& run);

}  // namespace reluflow

#endif
