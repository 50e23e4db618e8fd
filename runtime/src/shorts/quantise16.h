// The ends of a chain of 16 bits: float32 with the channels first to int16 with them last, and
// back.
#ifndef RELUFLOW_SHORTS_QUANTISE16_H
#define RELUFLOW_SHORTS_QUANTISE16_H

#include <cstdint>

#include "base/runner.h"
#include "kernels/kernels.h"
#include "spec/region.h"

namespace reluflow {

/// Sizes of a tensor.
struct Image16 {
  int64_t batch;
  int64_t channels;
  int64_t pixels;
};

/// Values beyond `limit` are clamped. A `region` that is not null holds the pixels to be written.
void to_fixed16(Runner& runner, const Kernels& kernels, const Image16& image, const Region* region,
                int exponent, int limit, const float* x, int16_t* out);

void from_fixed16(Runner& runner, const Image16& image, const Region* region, int exponent,
                  const int16_t* x, float* out);

}  // namespace reluflow

#endif
