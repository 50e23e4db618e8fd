// Sampled weights, kept from run to run while samples and seed stay the same.
#ifndef RELUFLOW_WEIGHTS_WEIGHT_CACHE_H
#define RELUFLOW_WEIGHTS_WEIGHT_CACHE_H

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/aligned.h"
#include "spec/psb_spec.h"

namespace reluflow {

/// One set of sampled weights. Whoever holds it as const only reads.
struct WeightSet {
  Precision precision;
  Aligned<int16_t> weights;

  explicit WeightSet(int64_t size) : weights(static_cast<size_t>(size)) {}
};

/// The last set drawn by a node; safe to use from several runs at once.
template <class Set>
class SetCache {
 public:
  /// Keeps a set from being overwritten. References are counted and dropped under the cache's lock,
  /// so that whoever takes back a set knows that its readers are done.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&& other) noexcept {
      std::swap(cache_, other.cache_);
      std::swap(set_, other.set_);
      return *this;
    }
    ~Lease() {
      if (!set_) return;
      const std::lock_guard<std::mutex> lock(cache_->mutex_);
      set_.reset();
    }

    explicit operator bool() const { return set_ != nullptr; }
    const Set* operator->() const { return set_.get(); }
    const auto* weights() const { return set_->weights.data(); }

   private:
    friend class SetCache;
    Lease(SetCache* cache, std::shared_ptr<const Set> set) : cache_(cache), set_(std::move(set)) {}

    SetCache* cache_ = nullptr;
    std::shared_ptr<const Set> set_;
  };

  /// The set of `precision`, or nothing when it has to be drawn.
  Lease find(const Precision& precision) {
    return find_if([&](const Set& set) { return set.precision == precision; });
  }

  /// The kept set if it is wanted, else nothing.
  template <class Wanted>
  Lease find_if(Wanted&& wanted) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (current_ && wanted(*current_)) return Lease(this, current_);
    return Lease();
  }

  /// Whether `precision` is that of the call before.
  bool repeats(const Precision& precision) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const bool same = before_ && *before_ == precision;
    before_ = precision;
    return same;
  }

  /// A set to draw into: the kept one when no other run uses it, else a new one.
  std::shared_ptr<Set> take(int64_t size) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (current_ && current_.use_count() == 1) return std::move(current_);
    return std::make_shared<Set>(size);
  }

  /// Keeps a set that was drawn.
  Lease put(std::shared_ptr<Set> set) {
    const std::lock_guard<std::mutex> lock(mutex_);
    current_ = std::move(set);
    return Lease(this, current_);
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<Set> current_;
  std::optional<Precision> before_;
};

using WeightCache = SetCache<WeightSet>;

}  // namespace reluflow

#endif
