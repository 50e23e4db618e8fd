// The weights of a convolution in a chain of 16 bits: docs/psb-ops.md, "Chains of 16 bits".
#ifndef RELUFLOW_FIXED16_WEIGHTS16_H
#define RELUFLOW_FIXED16_WEIGHTS16_H

#include <memory>
#include <vector>

#include "kernels/fixed16_args.h"
#include "spec/conv_shape.h"
#include "weights/exact_runs.h"
#include "weights/lanes.h"
#include "weights/weight_cache.h"

namespace reluflow {

/// How the sums of a block of output channels are kept exact.
struct BlockSums {
  bool wide;  ///< whether a sum may be too large to be rounded in int32
  std::vector<std::vector<int64_t>> runs;  ///< where each run of pairs ends, by input bound
};

/// One drawn set.
struct Set16 {
  Precision precision;
  Aligned<int16_t> weights;
  Aligned<int16_t> arranged;  ///< depthwise: as in Fixed16DepthwiseArgs, block by block

  explicit Set16(int64_t size) : weights(static_cast<size_t>(size)) {}
};

/// The pairs of a window's values that lie side by side where pixels do.
PairOrder window_runs(const ConvSpec& conv);

/// Everything that is known about a node's weights before it runs.
class Weights16 {
 public:
  using Lease = SetCache<Set16>::Lease;

  /// Unpacks `planes`, whose size has been checked; `shape.order` is that of `window_runs`.
  static Status make(const uint8_t* planes, const PsbSpec& spec, const LaneShape& shape,
                     std::unique_ptr<Weights16>* out);

  const LaneCode& lanes() const { return lanes_; }
  /// Whether every output channel sees one input channel of its own.
  bool depthwise() const { return depthwise_; }
  const BlockSums& sums(size_t block) const { return sums_[block]; }
  /// The number of the closest bound among those of `BlockSums::runs` that holds for `range`.
  size_t bound_of(const Range16& range) const;
  /// u_0: the bits by which the exact sum of an output channel exceeds 29.
  int excess(int64_t channel) const { return excess_[static_cast<size_t>(channel)]; }

  /// The set of `precision` where it is kept.
  Lease find(const Precision& precision) { return cache_.find(precision); }
  /// Whether `precision` is that of the call before: only then a set will be used again.
  bool repeats(const Precision& precision) { return cache_.repeats(precision); }
  /// Draws a set, and keeps it.
  Lease draw(Runner& runner, const Kernels& kernels, const PsbSpec& spec,
             const Precision& precision);

 private:
  void bound_sums(const WeightCode& code, const PsbSpec& spec);
  void arrange(Set16* set) const;

  LaneCode lanes_;
  bool depthwise_ = false;
  std::vector<InputBound> bounds_;  // the first holds for every input
  std::vector<BlockSums> sums_;
  std::vector<int> excess_;
  SetCache<Set16> cache_;
};

}  // namespace reluflow

#endif
