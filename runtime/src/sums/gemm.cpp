#include "sums/gemm.h"

#include <algorithm>

#include "inputs/activations.h"

namespace reluflow {

namespace {

/// The runs of one exact block of pairs.
struct BlockRuns {
  int64_t ends[kBlockPairs];  // from the block's first pair on
  int64_t count = 0;

  /// Takes those of pairs [begin, end) from `all`, whose first are in or behind it; none: one run.
  const int64_t* take(const int64_t* all, int64_t begin, int64_t end) {
    count = 0;
    for (; all && count < kBlockPairs; ++all) {
      ends[count++] = *all - begin;
      if (*all == end) return all + 1;
    }
    return all;
  }
};

/// One block of a tile whose sums int32 may not hold, in two parts.
void wide_block(const Kernels& kernels, const TileArgs& args, const BlockRuns& runs, int pixels,
                int vectors) {
  alignas(64) int32_t low[kMaxPixels * kTileLanes];
  alignas(64) int32_t high[kMaxPixels * kTileLanes];
  const char* nothing = reinterpret_cast<const char*>(args.weights);
  kernels.tile_runs(
      pixels, vectors,
      {args.pixels, args.taps, args.weights, runs.ends, runs.count, low, high, nothing, 0});
  kernels.join(low, high, pixels, vectors * kLanes, args.mode == kTileFirst,
               static_cast<float*>(args.out));
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

Split split_windows(const Kernels& kernels, int64_t windows) {
  const size_t tile = static_cast<size_t>(kernels.tile_pixels);
  const size_t tiles = (static_cast<size_t>(windows) + tile - 1) / tile;
  const size_t per_chunk = tiles_per_chunk(kernels.tile_pixels);
  return Split(tiles, (tiles + per_chunk - 1) / per_chunk);
}

void gemm_chunk(const Kernels& kernels, const GemmInput& in, const OutputBlock& block,
                const int16_t* weights, float* sums) {
  const int64_t row = int64_t{2} * kLanes * block.vectors;
  const std::vector<int64_t>& ends = *in.ends;
  const auto end_of = [&](size_t number) { return ends[std::min(number, ends.size() - 1)]; };
  const int tiles = (in.count + kernels.tile_pixels - 1) / kernels.tile_pixels;
  if (in.draw) (*in.draw)(0, end_of(0));
  const int64_t* run_ends = block.sub_pairs == kBlockPairs ? nullptr : in.runs;
  BlockRuns runs;
  int64_t begin = 0;
  for (size_t number = 0; number < ends.size(); ++number) {
    TileArgs args;
    args.taps = in.taps + begin;
    args.weights = weights + begin * row;
    args.pairs = ends[number] - begin;
    run_ends = runs.take(run_ends, begin, ends[number]);
    args.mode = begin == 0 ? kTileFirst : kTileAdd;
    NextBlock next(in.draw, block, ends[number], end_of(number + 1), end_of(number + 2));
    for (int tile = 0; tile < tiles; ++tile) {
      const int p = tile * kernels.tile_pixels;
      const int pixels = std::min(kernels.tile_pixels, in.count - p);
      args.pixels = in.pixels + p;
      args.out = sums + p * kTileLanes;
      next.before(tile, &args);
      if (runs.count > 1) {
        wide_block(kernels, args, runs, pixels, block.vectors);
      } else {
        kernels.tile(pixels, block.vectors, args);
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
