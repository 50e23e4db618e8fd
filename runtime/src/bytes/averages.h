// Means of bytes with the channels last.
#ifndef RELUFLOW_BYTES_AVERAGES_H
#define RELUFLOW_BYTES_AVERAGES_H

#include <cstdint>

#include "base/runner.h"
#include "bytes/output.h"
#include "kernels/kernels.h"
#include "spec/conv_shape.h"
#include "spec/fixed_format.h"
#include "spec/region.h"

namespace reluflow {

/// The mean of every window over the pixels inside, or over all taps; rounded once, half up. Of all
/// windows, or of those of a region.
void average_pool(Runner& runner, const Kernels& kernels, const ConvSpec& windows,
                  const ConvShape& shape, int64_t channels, bool counts_padding, const uint8_t* x,
                  FixedFormat x_format, const ByteOutput& y, uint8_t* out,
                  const Region* region = nullptr);

/// The mean of every channel over all pixels, `[batch, channels]` bytes; rounded once, half up.
void global_average(Runner& runner, const Kernels& kernels, int64_t batch, int64_t pixels,
                    int64_t channels, const uint8_t* x, FixedFormat x_format, const ByteOutput& y,
                    uint8_t* out);

}  // namespace reluflow

#endif
