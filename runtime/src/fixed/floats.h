// Sums of a convolution of bytes as floats: where a chain ends.
#ifndef RELUFLOW_FIXED_FLOATS_H
#define RELUFLOW_FIXED_FLOATS_H

#include "fixed/fixed_run.h"
#include "fixed/pieces.h"

namespace reluflow {

/// What the sums of one block of output channels are multiplied by, a power of two, and their bias.
struct FloatScale {
  float scale[kTileLanes];
  float bias[kTileLanes];
};

FloatScale float_scale(const FixedConvRun& run, const OutputBlock& block);

/// Stores the sums `[pixel][64]` of a block as floats.
void store_floats(const FixedConvRun& run, const OutputBlock& block, const FloatScale& scale,
                  const FixedStore& store, const FixedPixels& pixels, const int32_t* sums);

/// Groups of one channel: pixel by pixel, as no kernel gives their sums.
Status run_float_depthwise(Runner& runner, const FixedConvRun& run);

}  // namespace reluflow

#endif
