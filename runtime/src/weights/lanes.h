// The weight code in the order of the tiles: up to 64 output channels side by side.
#ifndef RELUFLOW_WEIGHTS_LANES_H
#define RELUFLOW_WEIGHTS_LANES_H

#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "base/runner.h"
#include "kernels/kernels.h"
#include "spec/psb_spec.h"
#include "weights/pair_order.h"
#include "weights/weight_code.h"

namespace reluflow {

/// How the weights of a node are grouped: a Conv's groups, or one group for a MatMul, and how they
/// are paired: by channels where `order` is empty.
struct LaneShape {
  int64_t groups = 1;
  int64_t group_outputs = 0;  ///< output channels of a group
  int64_t group_inputs = 0;   ///< input channels of a group
  int64_t taps = 1;           ///< T
  PairOrder order = {};
  PairOrder depthwise = {};  ///< the order of the depthwise path; empty where there is none

  int64_t pairs() const { return (group_inputs + 1) / 2 * taps; }
};

/// Up to 64 output channels of one group, the width of a tile.
struct OutputBlock {
  int64_t group;
  int64_t first;    ///< output channel number of lane 0
  int lanes;        ///< valid lanes
  int vectors;      ///< vectors of 16 lanes
  int64_t weights;  ///< where its sampled weights start, in int16 elements
  int sub_pairs;    ///< pairs whose int32 sum cannot overflow: 64, or less where runs are shorter
};

/// A small weight and its place, drawn after all others: few weights are small, and their rule
/// would slow down every lane of a vector.
struct SmallLane {
  int64_t pair;
  int32_t value;    ///< `small_value`
  uint32_t before;  ///< of the weight code
  uint8_t at;       ///< twice the lane, and 1 for the high half
  uint8_t shift;    ///< j
};

/// The code of all weights, ready to be drawn into tiles.
class LaneCode {
 public:
  LaneCode() = default;
  /// Lays the code out; an empty order becomes that of `channel_pairs`.
  LaneCode(const WeightCode& code, const PsbSpec& spec, const LaneShape& shape);

  const std::vector<OutputBlock>& blocks() const { return blocks_; }
  const LaneShape& shape() const { return shape_; }
  const PairOrder& order() const { return shape_.order; }
  /// The words that a draw of a block reads: as many bytes as it has weights to write, or more.
  const char* words(size_t block) const {
    return reinterpret_cast<const char*>(p16_.data() + blocks_[block].weights);
  }
  /// Where the sampled weights of a block end, in int16 elements.
  int64_t end_of(size_t block) const {
    return block + 1 < blocks_.size() ? blocks_[block + 1].weights : sampled_size_;
  }
  /// Where the exact runs of a block whose `sub_pairs` are not all 64 end.
  const std::vector<int64_t>& runs(size_t block) const { return runs_[block]; }
  /// int16 elements of one sampled set.
  int64_t sampled_size() const { return sampled_size_; }

  /// Draws all weights; `out` holds `sampled_size()` elements.
  void draw(Runner& runner, const Kernels& kernels, const Precision& precision, Key key,
            int16_t* out) const;

 private:
  friend class BlockDraw;
  void fill(const WeightCode& code, const OutputBlock& block);

  LaneShape shape_;
  int64_t per_channel_ = 0;
  int64_t sampled_size_ = 0;
  std::vector<OutputBlock> blocks_;
  std::vector<std::vector<int64_t>> runs_;
  std::vector<uint32_t> first_;   // number of each pair's first weight within its channel
  std::vector<uint32_t> second_;  // and of its second
  // In the order of the sampled weights.
  bool packed_ = false;  // p16_ holds packed words, and there is no more
  bool joined_ = false;  // c >> 8 is the low byte of p16_
  Aligned<uint16_t> p16_;
  Aligned<uint16_t> carried_;
  Aligned<uint8_t> sign_shift_;
  Aligned<int16_t> factors_;  // where joined; where packed, of the codes
  // With carried rounding: block by block, in order of falling shifts, then of pairs.
  std::vector<SmallLane> small_;
  std::vector<size_t> small_begin_;  // where those of each block and shift start, and the end
};

/// Draws the weights of one block of a LaneCode, range by range of its pairs.
class BlockDraw {
 public:
  /// Draws block `number` to `out`.
  BlockDraw(const LaneCode& code, size_t number, const Kernels& kernels, const Precision& precision,
            Key key, int16_t* out);
  BlockDraw(const BlockDraw&) = delete;
  BlockDraw& operator=(const BlockDraw&) = delete;

  /// What pairs [begin, end) need, from line `line` on; `near` where they need no more.
  Ahead ahead(int64_t begin, int64_t end, int64_t line, const int16_t* near) const;
  /// Whether a tile may draw vectors by `drawn_by_tile`.
  bool tile_draws() const {
    return kernels_.tile_draws && args_.sampler == 0 && !args_.carried && args_.vectors != 3;
  }
  /// Lets a tile draw the vectors of `pair` and those behind, one per pair of its own.
  void drawn_by_tile(int64_t pair, Ahead* ahead) const;

  void operator()(int64_t pair_begin, int64_t pair_end) {
    args_.pair_begin = pair_begin;
    args_.pair_end = pair_end;
    kernels_.draw(args_);
    settle(pair_begin, pair_end);
  }
  /// Corrects the small weights of pairs that a kernel or a tile has drawn.
  void settle(int64_t pair_begin, int64_t pair_end) const;

 private:
  const Kernels& kernels_;
  DrawArgs args_{};
  alignas(64) uint32_t offsets_[kTileLanes] = {};
  alignas(64) uint32_t shifted_[kTileLanes];
  uint32_t rest_;
  uint32_t small_offsets_[kTileLanes];
  const SmallLane* all_small_;
  const size_t* small_begin_;  // of the block's shifts, from the largest on
  int small_shifts_;           // those whose weights have bits shifted out
};

/// Largest power of two S <= 64 for which sum |w'| * limit < 2^31 in every S consecutive pairs of a
/// block.
int safe_sub_pairs(const WeightCode& code, int64_t channel, const PairOrder& order, int limit);

}  // namespace reluflow

#endif
