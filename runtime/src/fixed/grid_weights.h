// The weights of a node on the 8-bit grid: the code in the order of tiles, and the drawn sets.
#ifndef RELUFLOW_FIXED_GRID_WEIGHTS_H
#define RELUFLOW_FIXED_GRID_WEIGHTS_H

#include <memory>

#include "fixed/grid.h"
#include "weights/weight_cache.h"

namespace reluflow {

/// One drawn set, with each channel's sum, which a zero point of the input multiplies.
struct GridSet {
  Precision precision;
  Aligned<int8_t> weights;
  std::vector<int32_t> sums;  ///< of each output channel
  Aligned<int8_t> taps;       ///< depthwise: [block][taps][64]
  Aligned<int8_t> arranged;   ///< depthwise: as in FixedDepthwiseArgs, block by block

  explicit GridSet(int64_t size) : weights(static_cast<size_t>(size)) {}
};

/// How the columns of a depthwise kernel are shared; no quads where they are not.
FixedColumns share_columns(int64_t columns, int64_t stride, int64_t dilation);

/// Everything that is known about a node's weights before it runs.
class GridWeights {
 public:
  using Lease = SetCache<GridSet>::Lease;

  /// Unpacks `planes`, whose size has been checked.
  static Status make(const uint8_t* planes, const PsbSpec& spec, const LaneShape& shape,
                     std::unique_ptr<GridWeights>* out);

  const GridCode& code() const { return code_; }
  /// Whether every output channel sees one input channel of its own.
  bool depthwise() const { return depthwise_; }
  /// How its columns are shared.
  FixedColumns columns() const { return columns_; }
  /// Tells the columns of a depthwise kernel, before anything is drawn.
  void set_columns(int64_t columns, int64_t stride, int64_t dilation) {
    kernel_columns_ = columns;
    column_stride_ = stride;
    columns_ = share_columns(columns, stride, dilation);
  }

  /// The drawn weights of one run.
  Lease sample(Runner& runner, const Kernels& kernels, const PsbSpec& spec,
               const Precision& precision);

 private:
  void arrange(GridSet* set) const;

  GridCode code_;
  bool depthwise_ = false;
  FixedColumns columns_{0, 0};
  int64_t kernel_columns_ = 1;
  int64_t column_stride_ = 1;
  SetCache<GridSet> cache_;
};

}  // namespace reluflow

#endif
