// The weights of a convolution in a chain of 16 bits: docs/psb-ops.md, "Chains of 16 bits".
#ifndef RELUFLOW_FIXED16_WEIGHTS16_H
#define RELUFLOW_FIXED16_WEIGHTS16_H

#include <memory>
#include <vector>

#include "kernels/fixed16_args.h"
#include "spec/conv_shape.h"
#include "weights/lanes.h"
#include "weights/weight_cache.h"

namespace reluflow {

/// How the sums of a block of output channels are kept exact.
struct ExactRuns {
  std::vector<int64_t> ends;  ///< where each run of pairs ends whose sum int32 holds
  bool wide;                  ///< whether runs are added in two parts
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
  /// Whether every output channel sees one input channel of its own, and int32 holds its sum.
  bool depthwise() const { return depthwise_; }
  const std::vector<ExactRuns>& runs() const { return runs_; }
  /// u_0: the bits by which the exact sum of an output channel exceeds 29.
  int excess(int64_t channel) const { return excess_[static_cast<size_t>(channel)]; }

  /// The drawn weights of one run.
  Lease sample(Runner& runner, const Kernels& kernels, const PsbSpec& spec,
               const Precision& precision);

 private:
  void find_runs(const WeightCode& code, const PsbSpec& spec);
  void arrange(Set16* set) const;

  LaneCode lanes_;
  bool depthwise_ = false;
  std::vector<ExactRuns> runs_;
  std::vector<int> excess_;
  SetCache<Set16> cache_;
};

}  // namespace reluflow

#endif
