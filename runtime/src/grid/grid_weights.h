// The weights of a node on the 8-bit grid: the code in the order of tiles, and the drawn sets.
#ifndef RELUFLOW_GRID_GRID_WEIGHTS_H
#define RELUFLOW_GRID_GRID_WEIGHTS_H

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "grid/grid.h"
#include "weights/weight_cache.h"

namespace reluflow {

/// One drawn set, with each channel's sum, which a zero point of the input multiplies.
struct GridSet {
  Precision precision;
  uint64_t number = 0;        ///< of this draw: no other has it
  Aligned<int8_t> weights;    ///< in the order of the code
  std::vector<int32_t> sums;  ///< [block][64], empty where they are not wanted
  Aligned<int8_t> arranged;   ///< depthwise: as in FixedDepthwiseArgs, block by block

  explicit GridSet(int64_t size) : weights(static_cast<size_t>(size)) {}
};

/// What a drawn set is used for.
struct GridUse {
  bool sums = true;            ///< whether sums are wanted: where the input's zero point is not 0
  int64_t kernel_columns = 1;  ///< of a depthwise kernel
  int64_t column_stride = 1;
  FixedColumns columns{0, 0};  ///< how they are shared
};

/// How the columns of a depthwise kernel are shared; no quads where they are not.
FixedColumns share_columns(int64_t columns, int64_t stride, int64_t dilation);

/// Bytes of the weights of one block of depthwise channels as `FixedDepthwiseArgs` has them.
size_t arranged_bytes(const GridUse& use, int64_t taps);

/// Everything that is known about a node's weights before it runs.
class GridWeights {
 public:
  using Lease = SetCache<GridSet>::Lease;

  /// Unpacks `planes`, whose size has been checked.
  static Status make(const uint8_t* planes, const PsbSpec& spec, const LaneShape& shape,
                     std::unique_ptr<GridWeights>* out);

  const GridCode& code() const { return code_; }
  bool depthwise() const { return code_.depthwise(); }

  /// The set of `precision` where it is kept. A node uses all its sets in the same way.
  Lease find(const Precision& precision) { return cache_.find(precision); }
  /// Whether `precision` is that of the call before: only then a set will be used again.
  bool repeats(const Precision& precision);
  /// Draws a set, and keeps it.
  Lease draw(Runner& runner, const Kernels& kernels, const PsbSpec& spec,
             const Precision& precision, const GridUse& use);
  /// Finds a set or draws it.
  Lease sample(Runner& runner, const Kernels& kernels, const PsbSpec& spec,
               const Precision& precision, const GridUse& use = {});

 private:
  void arrange(const Kernels& kernels, const GridUse& use, size_t block, GridSet* set) const;

  GridCode code_;
  SetCache<GridSet> cache_;
  std::mutex mutex_;
  std::optional<Precision> before_;
};

}  // namespace reluflow

#endif
