#include "gemm.h"

#include <algorithm>

#include "activations.h"

namespace reluflow {

namespace {

/// One block of a tile by way of shorter int32 sums that are added up exactly in float64.
void wide_block(const Kernels& kernels, TileArgs args, int pixels, const OutputBlock& block,
                bool first, float* sums) {
  alignas(64) int32_t raw[kMaxPixels * kTileLanes];
  alignas(64) double exact[kMaxPixels * kTileLanes];
  const int lanes = block.vectors * kLanes;
  const int64_t end = args.pairs;
  args.mode = kTileRaw;
  args.out = raw;
  for (int64_t done = 0; done < end; done += block.sub_pairs) {
    args.pairs = std::min<int64_t>(block.sub_pairs, end - done);
    kernels.tile(pixels, block.vectors, args);
    args.taps += args.pairs;
    args.weights += args.pairs * 2 * lanes;
    kernels.widen(raw, pixels, lanes, done == 0, exact);
  }
  kernels.narrow(exact, pixels, lanes, first, sums);
}

}  // namespace

void gemm_chunk(const Kernels& kernels, const GemmInput& in, const OutputBlock& block,
                const int16_t* weights, float* sums) {
  const int64_t row = int64_t{2} * kLanes * block.vectors;
  int64_t begin = 0;
  for (const int64_t end : *in.ends) {
    TileArgs args;
    args.taps = in.taps + begin;
    args.weights = weights + begin * row;
    args.pairs = end - begin;
    args.mode = begin == 0 ? kTileFirst : kTileAdd;
    for (int p = 0; p < in.count; p += kernels.tile_pixels) {
      const int pixels = std::min(kernels.tile_pixels, in.count - p);
      args.pixels = in.pixels + p;
      args.out = sums + p * kTileLanes;
      if (block.sub_pairs == kBlockPairs) {
        kernels.tile(pixels, block.vectors, args);
      } else {
        wide_block(kernels, args, pixels, block, begin == 0, sums + p * kTileLanes);
      }
    }
    begin = end;
  }
}

std::vector<Epilogue> make_epilogues(const std::vector<OutputBlock>& blocks,
                                     const Precision& precision, int f, const int8_t* emax,
                                     const float* bias) {
  std::vector<Epilogue> epilogues(blocks.size());
  for (size_t b = 0; b < blocks.size(); ++b) {
    for (int lane = 0; lane < blocks[b].lanes; ++lane) {
      const int64_t channel = blocks[b].first + lane;
      const Scale scale = channel_scale(emax[channel], precision, f);
      epilogues[b].scale_a[lane] = scale.a;
      epilogues[b].scale_b[lane] = scale.b;
      if (bias) epilogues[b].bias[lane] = bias[channel];
    }
  }
  return epilogues;
}

StoreArgs Epilogue::args(const PsbSpec& spec, int lanes, bool with_bias) const {
  StoreArgs s{};
  s.lanes = lanes;
  s.scale_a = scale_a;
  s.scale_b = scale_b;
  s.bias = with_bias ? bias : nullptr;
  s.clips = spec.clips();
  s.low = spec.low();
  s.high = spec.high();
  return s;
}

}  // namespace reluflow
