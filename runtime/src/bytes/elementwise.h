// Bytes of a chain one by one: sums, products and tables.
#ifndef RELUFLOW_BYTES_ELEMENTWISE_H
#define RELUFLOW_BYTES_ELEMENTWISE_H

#include <cstdint>

#include "base/runner.h"
#include "bytes/output.h"
#include "kernels/kernels.h"
#include "spec/fixed_format.h"
#include "spec/region.h"

namespace reluflow {

// Each computes all bytes, or those of a region's pixels and leaves the others as they are.

/// out = a + b, rounded once, half up; then `table`, unless it is null.
void add_bytes(Runner& runner, const Kernels& kernels, int64_t n, const uint8_t* a,
               FixedFormat a_format, const uint8_t* b, FixedFormat b_format, const ByteOutput& y,
               const uint8_t* table, uint8_t* out, const Region* region = nullptr);

/// Sizes of a product: `factors` are [batch, channels], or as many as x.
struct ByteImage {
  int64_t batch;
  int64_t pixels;
  int64_t channels;
};

/// out = x * factors, rounded once, half up.
void mul_bytes(Runner& runner, const Kernels& kernels, const ByteImage& image, const uint8_t* x,
               FixedFormat x_format, const uint8_t* factors, FixedFormat s_format,
               bool for_each_channel, const ByteOutput& y, uint8_t* out,
               const Region* region = nullptr);

/// out[i] = table[x[i]].
void look_up_bytes(Runner& runner, const Kernels& kernels, int64_t n, const uint8_t* x,
                   const uint8_t* table, uint8_t* out, const Region* region = nullptr);

}  // namespace reluflow

#endif
