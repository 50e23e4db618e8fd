// The weights of a node: the code in every order its kernels want, and the drawn sets.
#ifndef RELUFLOW_WEIGHTS_WEIGHTS_H
#define RELUFLOW_WEIGHTS_WEIGHTS_H

#include <memory>
#include <vector>

#include "base/runner.h"
#include "kernels/kernels.h"
#include "spec/psb_spec.h"
#include "weights/lanes.h"
#include "weights/weight_cache.h"
#include "weights/weight_code.h"

namespace reluflow {

/// How a node's products are summed.
enum class Path {
  kTiles,       ///< tiles of 64 output channels
  kDepthwise,   ///< one input channel per group
  kPerProduct,  ///< every product draws its own bits
};

/// Everything that is known about a node's weights before it runs.
class Weights {
 public:
  /// Unpacks `planes`, whose size has been checked.
  static Status make(const uint8_t* planes, const PsbSpec& spec, const LaneShape& shape,
                     std::unique_ptr<Weights>* out);

  Path path() const { return path_; }
  const LaneCode& lanes() const { return lanes_; }
  const WeightCode& code() const { return code_; }
  /// On the depthwise path: where the exact runs of a channel's products end.
  const std::vector<int64_t>& channel_runs(int64_t m) const {
    return channel_runs_[static_cast<size_t>(m)];
  }

  /// Whether `precision` is that of the call before: only then a set will be used again.
  bool repeats(const Precision& precision) { return cache_.repeats(precision); }
  /// The kept set of `precision`, if there is one.
  WeightCache::Lease find(const Precision& precision) { return cache_.find(precision); }
  /// A set to draw into while it is used, and to keep when all is drawn.
  std::shared_ptr<WeightSet> take(const Precision& precision);
  WeightCache::Lease keep(std::shared_ptr<WeightSet> set) { return cache_.put(std::move(set)); }

  /// The sampled weights of one run, in the order of `lanes()`.
  WeightCache::Lease sample(Runner& runner, const Kernels& kernels, const PsbSpec& spec,
                            const Precision& precision);

 private:
  Path path_ = Path::kTiles;
  WeightCode code_;  // empty but for draws per product
  LaneCode lanes_;   // empty for these
  std::vector<std::vector<int64_t>> channel_runs_;
  WeightCache cache_;
};

}  // namespace reluflow

#endif
