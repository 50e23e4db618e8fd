#include "sums/gemm.h"

#include <algorithm>

#include "inputs/activations.h"

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

/// Draws the weights of the next block while those of this one are used: within the tiles, where it
/// takes half of the time that it takes alone, or else behind each of them.
class NextBlock {
 public:
  /// Pairs [begin, end) come next, and then those up to `last`.
  NextBlock(BlockDraw* draw, const OutputBlock& block, int64_t begin, int64_t end, int64_t last)
      : draw_(draw),
        vectors_(block.vectors),
        begin_(begin),
        left_(begin),
        end_(end),
        last_(last),
        in_tiles_(draw && draw->tile_draws() && block.sub_pairs == kBlockPairs) {}

  /// Gives a tile its share.
  void before(int tile, TileArgs* args) {
    if (!draw_) return;
    ahead_ = draw_->ahead(end_, last_, tile * args->pairs, args->weights);
    args->ahead = &ahead_;
    const int64_t whole = args->pairs / vectors_;  // pairs whose vectors it draws
    if (!in_tiles_ || args->pairs % vectors_ != 0 || left_ + whole > end_) return;
    draw_->drawn_by_tile(left_, &ahead_);
    left_ += whole;
  }

  /// Draws what the tiles have not, tile by tile of those that are left.
  void after(int tile, int tiles) {
    if (!draw_ || (in_tiles_ && tile + 1 < tiles)) return;
    const int64_t to = left_ + (end_ - left_) / (tiles - tile);
    if (left_ < to) (*draw_)(left_, to);
    left_ = to;
    if (in_tiles_) draw_->settle(begin_, end_);  // after the last tile
  }

 private:
  BlockDraw* draw_;
  int64_t vectors_;
  int64_t begin_;
  int64_t left_;  // the first that is not drawn yet
  int64_t end_;
  int64_t last_;
  bool in_tiles_;
  Ahead ahead_{};
};

}  // namespace

void gemm_chunk(const Kernels& kernels, const GemmInput& in, const OutputBlock& block,
                const int16_t* weights, float* sums) {
  const int64_t row = int64_t{2} * kLanes * block.vectors;
  const std::vector<int64_t>& ends = *in.ends;
  const auto end_of = [&](size_t number) { return ends[std::min(number, ends.size() - 1)]; };
  const int tiles = (in.count + kernels.tile_pixels - 1) / kernels.tile_pixels;
  if (in.draw) (*in.draw)(0, end_of(0));
  int64_t begin = 0;
  for (size_t number = 0; number < ends.size(); ++number) {
    TileArgs args;
    args.taps = in.taps + begin;
    args.weights = weights + begin * row;
    args.pairs = ends[number] - begin;
    args.mode = begin == 0 ? kTileFirst : kTileAdd;
    NextBlock next(in.draw, block, ends[number], end_of(number + 1), end_of(number + 2));
    for (int tile = 0; tile < tiles; ++tile) {
      const int p = tile * kernels.tile_pixels;
      const int pixels = std::min(kernels.tile_pixels, in.count - p);
      args.pixels = in.pixels + p;
      args.out = sums + p * kTileLanes;
      next.before(tile, &args);
      if (block.sub_pairs == kBlockPairs) {
        kernels.tile(pixels, block.vectors, args);
      } else {
        wide_block(kernels, args, pixels, block, begin == 0, sums + p * kTileLanes);
      }
      next.after(tile, tiles);
    }
    begin = ends[number];
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
