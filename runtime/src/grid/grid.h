// Weights on the 8-bit grid of their channel: docs/psb-ops.md, "The 8-bit grid".
#ifndef RELUFLOW_GRID_GRID_H
#define RELUFLOW_GRID_GRID_H

#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "base/runner.h"
#include "kernels/kernels.h"
#include "spec/psb_spec.h"
#include "weights/lanes.h"
#include "weights/weight_code.h"

namespace reluflow {

constexpr int kGridBits = 6;    ///< a grid weight w stands for w 2^(emax - 6)
constexpr int kGridMost = 127;  ///< the largest grid weight
constexpr int kGridUnits = 24;  ///< bits behind the point of a mean on the grid

/// What a weight is drawn from: `high` in `chance` of 256 draws, else `low`.
struct GridStep {
  uint8_t low;
  uint8_t high;
  uint8_t chance;
};

/// The two neighbours of a weight's mean, from its probability and the low bits of `sign_shift`.
GridStep grid_step(uint16_t p16, int j, int log2_n);

/// The magnitude of the multiple of a sample's step that is nearest to the mean.
uint8_t grid_nearest(uint16_t p16, int j, int log2_n);

/// Where the weights of one output channel begin their four carries.
inline uint32_t grid_offsets(Key key, int64_t channel) {
  return random_bits(key, static_cast<uint32_t>(channel));
}

/// The code of all weights in the order of tiles of quads: [block][quad][lane][4].
///
/// Quads stand in order of the input channels, four at a time, then of the taps. What fills the
/// last four channels and the last lanes up is 0. Where every channel sees one channel of its own
/// the order is [block][tap][64], one byte for each lane.
class GridCode {
 public:
  GridCode() = default;
  GridCode(const WeightCode& code, const PsbSpec& spec, const LaneShape& shape);

  /// Whether every output channel sees one input channel of its own.
  bool depthwise() const { return depthwise_; }
  const std::vector<OutputBlock>& blocks() const { return blocks_; }
  int64_t quads() const { return quads_; }  ///< or taps
  /// Bytes of one quad (or tap) of a block, and of a whole block.
  int64_t row(const OutputBlock& block) const {
    return depthwise_ ? kTileLanes : int64_t{kQuad} * kLanes * block.vectors;
  }
  int64_t bytes(const OutputBlock& block) const { return row(block) * quads_; }
  int64_t most_bytes() const { return quads_ * kQuad * kTileLanes; }
  int64_t size() const { return size_; }  ///< bytes of one drawn set
  /// The largest |sum of w| * 255 of any channel and draw: what a sum in int32 has to hold.
  int64_t most_sum() const { return most_sum_; }

  /// What a draw of a block reads first: as many bytes of code as it has weights, at most.
  const uint8_t* codes(const OutputBlock& block) const { return codes_.data() + block.weights; }
  /// The sums of the weights of a block that was drawn to `w`, one for each lane.
  void add_up(const Kernels& kernels, const OutputBlock& block, const int8_t* w,
              int32_t* sums) const;

 private:
  friend class GridDraw;
  void fill(const WeightCode& code, const OutputBlock& block);

  LaneShape shape_;
  bool depthwise_ = false;
  int64_t per_channel_ = 0;
  int64_t quads_ = 0;
  int64_t size_ = 0;
  int64_t most_sum_ = 0;
  bool narrow_ = false;  // p has at most 4 bits: a byte holds nibble and p
  std::vector<OutputBlock> blocks_;
  Aligned<uint8_t> codes_;       // narrow: nibble << 4 | p; else j, or 15 for a zero weight
  Aligned<uint16_t> p16_;        // where not narrow
  std::vector<uint64_t> signs_;  // of weights that are not 0
};

/// Draws the weights of a GridCode for one run, block by block, in any order and on any thread.
class GridDraw {
 public:
  GridDraw(const GridCode& code, const Kernels& kernels, const Precision& precision, Key key);
  GridDraw(const GridDraw&) = delete;
  GridDraw& operator=(const GridDraw&) = delete;

  /// Draws a block of the code into `code.bytes(block)` bytes.
  void operator()(const OutputBlock& block, int8_t* out) const;

 private:
  void draw_wide(const OutputBlock& block, uint8_t* carry, int8_t* out) const;

  const GridCode& code_;
  const Kernels& kernels_;
  Precision precision_;
  Key key_;
  const FixedTables* tables_;  // null where the nearest weights are taken
  const uint8_t* nearest_;
};

}  // namespace reluflow

#endif
