// Pooling of 16 bits with the channels last.
#ifndef RELUFLOW_SHORTS_POOLING16_H
#define RELUFLOW_SHORTS_POOLING16_H

#include <cstdint>

#include "base/runner.h"
#include "kernels/kernels.h"
#include "spec/conv_shape.h"
#include "spec/region.h"

namespace reluflow {

/// The largest value of every window, at least -32768; pixels outside count for nothing. A `region`
/// that is not null holds the pixels to be written.
void max_pool16(Runner& runner, const Kernels& kernels, const ConvSpec& windows,
                const ConvShape& shape, const Region* region, int64_t channels, const int16_t* x,
                int16_t* out);

/// The mean of every channel over `pixels`, `[batch, channels]` values: an exact sum, rounded once
/// to float32, over the number of pixels.
void global_mean16(Runner& runner, int64_t batch, int64_t pixels, int64_t channels, int exponent,
                   const int16_t* x, float* out);

}  // namespace reluflow

#endif
