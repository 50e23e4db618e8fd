// Sampled weights, kept from run to run while samples and seed stay the same.
#ifndef RELUFLOW_WEIGHT_CACHE_H
#define RELUFLOW_WEIGHT_CACHE_H

#include <memory>
#include <mutex>

#include "aligned.h"
#include "psb_spec.h"

namespace reluflow {

/// One set of sampled weights. Whoever holds it as const only reads.
struct WeightSet {
  Precision precision;
  Aligned<int16_t> weights;
};

/// The last set drawn by a node; safe to use from several runs at once.
class WeightCache {
 public:
  /// The set of `precision`, or null when it has to be drawn.
  std::shared_ptr<const WeightSet> find(const Precision& precision) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (current_ && current_->precision == precision) return current_;
    return nullptr;
  }

  /// A set to draw into: the kept one when no other run uses it, else a new one.
  std::shared_ptr<WeightSet> take(int64_t size) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (current_ && current_.use_count() == 1) return std::move(current_);
    auto set = std::make_shared<WeightSet>();
    set->weights = Aligned<int16_t>(static_cast<size_t>(size));
    return set;
  }

  /// Keeps a set that was drawn.
  void put(std::shared_ptr<WeightSet> set) {
    const std::lock_guard<std::mutex> lock(mutex_);
    current_ = std::move(set);
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<WeightSet> current_;
};

}  // namespace reluflow

#endif
