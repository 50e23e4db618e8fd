// The sum of products over blocks of pairs, tile by tile: docs/psb-ops.md, "Sum".
#ifndef RELUFLOW_GEMM_H
#define RELUFLOW_GEMM_H

#include <cstdint>

#include "kernels.h"
#include "lanes.h"
#include "psb_spec.h"

namespace reluflow {

constexpr int kChunkPixels = 64;  ///< pixels whose sums are kept at once

/// Pixels of one chunk: where each one's x begins and which pairs it has.
struct GemmInput {
  const char* pixels[kChunkPixels];
  int count;
  const int64_t* taps;
  int64_t pairs;
};

/// Adds up all blocks of a chunk. `sums` is `[kChunkPixels][kTileLanes]`.
void gemm_chunk(const Kernels& kernels, const GemmInput& in, const OutputBlock& block,
                const int16_t* weights, float* sums);

/// Scale, bias and activation of the lanes of one block, ready for StoreArgs.
struct Epilogue {
  alignas(64) float scale_a[kTileLanes];
  alignas(64) float scale_b[kTileLanes];
  alignas(64) float bias[kTileLanes];

  Epilogue(const OutputBlock& block, const Precision& precision, int f, const int8_t* emax,
           const float* bias_values);
  StoreArgs args(const PsbSpec& spec, int lanes, bool with_bias) const;
};

}  // namespace reluflow

#endif
