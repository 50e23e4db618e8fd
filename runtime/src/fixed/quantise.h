// The ends of a chain: float32 with the channels first to bytes with the channels last, and back.
#ifndef RELUFLOW_FIXED_QUANTISE_H
#define RELUFLOW_FIXED_QUANTISE_H

#include <cstdint>

#include "base/runner.h"
#include "kernels/kernels.h"
#include "spec/fixed_format.h"
#include "spec/region.h"

namespace reluflow {

/// Sizes of a tensor; `stored` channels lie in bytes, what is beyond `channels` has the value 0.
struct FixedImage {
  int64_t batch;
  int64_t channels;
  int64_t pixels;
  int64_t stored;
};

// Each turns all pixels, or those of a region and leaves the others as they are.

void to_fixed(Runner& runner, const Kernels& kernels, const FixedImage& image, FixedFormat format,
              const float* x, uint8_t* out, const Region* region = nullptr);

void from_fixed(Runner& runner, const FixedImage& image, FixedFormat format, const uint8_t* x,
                float* out, const Region* region = nullptr);

}  // namespace reluflow

#endif
