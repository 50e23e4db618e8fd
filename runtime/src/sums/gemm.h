// The sum of products over blocks of pairs, tile by tile: docs/psb-ops.md, "Sum".
#ifndef RELUFLOW_SUMS_GEMM_H
#define RELUFLOW_SUMS_GEMM_H

#include <cstdint>
#include <vector>

#include "base/runner.h"
#include "kernels/kernels.h"
#include "spec/psb_spec.h"
#include "weights/lanes.h"

namespace reluflow {

/// Pixels whose sums are kept at once: with 64 lanes 16 KB on the stack, half a first-level cache.
constexpr int kChunkPixels = 64;

/// Whole tiles that one chunk has room for; the last tile of all may be smaller, none is cut.
constexpr size_t tiles_per_chunk(int64_t tile_pixels) {
  return static_cast<size_t>(kChunkPixels / tile_pixels);
}

/// Pixels of one chunk: where each one's x begins and which pairs it has.
struct GemmInput {
  const char* pixels[kChunkPixels];
  int count;
  const int64_t* taps;
  const std::vector<int64_t>* ends;  ///< where each exact block of pairs ends
  const int64_t* runs;               ///< where each run ends, if a block may have several
  BlockDraw* draw = nullptr;         ///< draws the weights just before they are used, if given
};

/// Chunks of whole tiles, as equal as they can be: ranges of tiles.
Split split_windows(const Kernels& kernels, int64_t windows);

/// Adds up all blocks of a chunk. `sums` is `[kChunkPixels + kSpareRows][kTileLanes]`.
void gemm_chunk(const Kernels& kernels, const GemmInput& in, const OutputBlock& block,
                const int16_t* weights, float* sums);

/// Scale and bias of the lanes of one block, ready for StoreArgs.
struct alignas(64) Epilogue {
  float scale_a[kTileLanes] = {};
  float scale_b[kTileLanes] = {};
  float bias[kTileLanes] = {};

  StoreArgs args(const PsbSpec& spec, int lanes, bool with_bias) const;
};

/// The epilogue of every block; `bias` may be null.
std::vector<Epilogue> make_epilogues(const std::vector<OutputBlock>& blocks,
                                     const Precision& precision, int f, const int8_t* emax,
                                     const float* bias);

}  // namespace reluflow

#endif
