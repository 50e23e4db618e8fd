#include "weights/exact_runs.h"

#include <algorithm>
#include <utility>

#include "kernels/kernels.h"

namespace reluflow {

namespace {

/// Bounds of what the positive and the negative weights of one pair or run add up to.
struct Parts {
  int64_t positive = 0;
  int64_t negative = 0;

  void add(const Parts& other) {
    positive += other.positive;
    negative += other.negative;
  }
  int64_t most(const InputBound& bound) const {
    return bound.most * (bound.negative ? positive + negative : std::max(positive, negative));
  }
};

Parts parts_of(const WeightCode& code, int64_t channel, const WeightPair& pair) {
  Parts parts;
  for (const int64_t i : {pair.low, pair.high}) {
    if (i < 0) continue;
    const uint8_t sign_shift = code.sign_shift[static_cast<size_t>(channel * code.per_channel + i)];
    (sign_shift & kNegative ? parts.negative : parts.positive) += weight_bound(sign_shift);
  }
  return parts;
}

/// The runs of one bound, while they are found pair by pair.
class Runs {
 public:
  Runs(const InputBound& bound, int lanes) : bound_(bound), sums_(static_cast<size_t>(lanes)) {}

  void add(int64_t pair, const std::vector<Parts>& parts) {
    bool fits = true;
    for (size_t lane = 0; lane < sums_.size(); ++lane) {
      sums_[lane].add(parts[lane]);
      fits = fits && sums_[lane].most(bound_) <= kRunMost;
    }
    if (fits) return;
    ends.push_back(pair);
    sums_ = parts;
  }
  void end(int64_t pair) {
    ends.push_back(pair);
    sums_.assign(sums_.size(), {});
  }

  std::vector<int64_t> ends;

 private:
  InputBound bound_;
  std::vector<Parts> sums_;
};

}  // namespace

std::vector<std::vector<int64_t>> exact_runs(const WeightCode& code, const PairOrder& order,
                                             const ChannelRange& channels,
                                             const std::vector<InputBound>& bounds) {
  std::vector<Runs> runs;
  runs.reserve(bounds.size());
  for (const InputBound& bound : bounds) runs.emplace_back(bound, channels.lanes);
  std::vector<Parts> parts(static_cast<size_t>(channels.lanes));
  int64_t pair = 0;
  for (const int64_t block_end : order.ends) {
    for (; pair < block_end; ++pair) {
      for (int lane = 0; lane < channels.lanes; ++lane) {
        parts[static_cast<size_t>(lane)] =
            parts_of(code, channels.first + lane, order.pairs[static_cast<size_t>(pair)]);
      }
      for (Runs& r : runs) r.add(pair, parts);
    }
    for (Runs& r : runs) r.end(pair);
  }
  std::vector<std::vector<int64_t>> ends;
  ends.reserve(runs.size());
  for (Runs& r : runs) ends.push_back(std::move(r.ends));
  return ends;
}

std::vector<int64_t> row_runs(const WeightCode& code, const PairOrder& order, int64_t channel,
                              const InputBound& bound) {
  const size_t rows = order.ends.size();
  const size_t size = order.pairs.size() / rows;
  Runs runs(bound, static_cast<int>(rows));
  std::vector<Parts> parts(rows);
  for (size_t pair = 0; pair < size; ++pair) {
    for (size_t r = 0; r < rows; ++r) {
      parts[r] = parts_of(code, channel, order.pairs[r * size + pair]);
    }
    runs.add(static_cast<int64_t>(pair), parts);
  }
  runs.end(static_cast<int64_t>(size));
  return std::move(runs.ends);
}

}  // namespace reluflow
