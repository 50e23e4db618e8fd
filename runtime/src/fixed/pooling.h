// Pooling of bytes with the channels last.
#ifndef RELUFLOW_FIXED_POOLING_H
#define RELUFLOW_FIXED_POOLING_H

#include <cstdint>

#include "base/runner.h"
#include "kernels/kernels.h"
#include "spec/conv_shape.h"
#include "spec/fixed_format.h"
#include "spec/region.h"

namespace reluflow {

/// The largest byte of every window, or of those of a region; pixels outside count for nothing.
void max_pool(Runner& runner, const Kernels& kernels, const ConvSpec& windows,
              const ConvShape& shape, int64_t channels, const uint8_t* x, uint8_t* out,
              const Region* region = nullptr);

/// The mean of every channel over `pixels`, `[batch, channels]` values: an exact sum, rounded once
/// to float32, over the number of pixels.
void global_mean(Runner& runner, int64_t batch, int64_t pixels, int64_t channels,
                 FixedFormat format, const uint8_t* x, float* out);

}  // namespace reluflow

#endif
