#include "fixed16/weights16.h"

#include <algorithm>
#include <string>

namespace reluflow {

namespace {

constexpr int kSumBits = 29;      // of a sum in its unit
constexpr int kNarrowBits = 30;   // of a sum that leaves room to round it in int32
constexpr int kMostSumBits = 45;  // of any sum: high parts and their rounding then fit int32

/// Bounds of |w'| of both weights of a pair, added.
int64_t pair_bound(const WeightCode& code, int64_t channel, const WeightPair& pair) {
  int64_t bound = 0;
  for (const int64_t i : {pair.low, pair.high}) {
    if (i < 0) continue;
    bound += weight_bound(code.sign_shift[static_cast<size_t>(channel * code.per_channel + i)]);
  }
  return bound;
}

/// The pairs of neighbouring taps of one channel.
PairOrder tap_pairs(int64_t taps) {
  PairOrder order;
  for (int64_t t = 0; t < taps; t += 2) order.pairs.push_back({t, t + 1 < taps ? t + 1 : -1});
  order.ends.push_back(static_cast<int64_t>(order.pairs.size()));
  return order;
}

}  // namespace

PairOrder window_runs(const ConvSpec& conv) {
  // A row of taps is one run where its pixels are neighbours, and hold nothing else.
  const bool joined = conv.group == 1 && conv.dilations[1] == 1;
  const int64_t columns = joined ? conv.kernel[1] : 1;
  const int64_t length = columns * conv.group_inputs;
  const auto number = [&](int64_t first_tap, int64_t at) {
    return at % conv.group_inputs * conv.taps() + first_tap + at / conv.group_inputs;
  };
  PairOrder order;
  for (int64_t tap = 0; tap < conv.taps(); tap += columns) {
    for (int64_t at = 0; at < length; at += 2) {
      order.pairs.push_back({number(tap, at), at + 1 < length ? number(tap, at + 1) : -1});
    }
  }
  order.ends.push_back(static_cast<int64_t>(order.pairs.size()));
  return order;
}

Status Weights16::make(const uint8_t* planes, const PsbSpec& spec, const LaneShape& shape,
                       std::unique_ptr<Weights16>* out) {
  if (spec.per_product) {
    return Status(
        "draws is \"product\", but in a chain draws are made per run; convert the model "
        "with draws \"run\" or without chains.");
  }
  WeightCode code;
  RELUFLOW_RETURN_IF_BAD(unpack_planes(planes, spec, &code));
  auto made = std::make_unique<Weights16>();
  made->excess_.reserve(static_cast<size_t>(spec.channels));
  int64_t largest = 0;
  for (int64_t m = 0; m < spec.channels; ++m) {
    int64_t bound = 0;
    for (int64_t i = 0; i < code.per_channel; ++i) bound += pair_bound(code, m, {i, -1});
    bound *= spec.limit();
    largest = std::max(largest, bound);
    int excess = 0;
    while (bound >> excess >= int64_t{1} << kSumBits) ++excess;
    made->excess_.push_back(excess);
  }
  if (largest >= int64_t{1} << kMostSumBits) {
    return Status("the weights of a channel add up to as much as " + std::to_string(largest) +
                  " with inputs of x_bits " + std::to_string(spec.x_bits) +
                  ", but less than 2^45 is wanted; convert the model without chains.");
  }
  made->depthwise_ =
      shape.group_inputs == 1 && shape.group_outputs == 1 && largest < int64_t{1} << kNarrowBits;
  // Lanes are channels where each is a group of its own: only the drawing needs them.
  made->lanes_ =
      made->depthwise_
          ? LaneCode(code, spec, {1, spec.channels, 1, shape.taps, tap_pairs(shape.taps)})
          : LaneCode(code, spec, shape);
  made->find_runs(code, spec);
  *out = std::move(made);
  return {};
}

void Weights16::find_runs(const WeightCode& code, const PsbSpec& spec) {
  const std::vector<WeightPair>& pairs = lanes_.order().pairs;
  for (const OutputBlock& block : lanes_.blocks()) {
    ExactRuns runs{{}, false};
    std::vector<int64_t> sums(static_cast<size_t>(block.lanes), 0);
    for (size_t p = 0; p < pairs.size(); ++p) {
      bool fits = true;
      for (int lane = 0; lane < block.lanes; ++lane) {
        int64_t& sum = sums[static_cast<size_t>(lane)];
        sum += pair_bound(code, block.first + lane, pairs[p]) * spec.limit();
        fits = fits && sum < int64_t{1} << 31;
        runs.wide = runs.wide || sum >= int64_t{1} << kNarrowBits;
      }
      if (fits) continue;
      runs.ends.push_back(static_cast<int64_t>(p));
      for (int lane = 0; lane < block.lanes; ++lane) {
        sums[static_cast<size_t>(lane)] =
            pair_bound(code, block.first + lane, pairs[p]) * spec.limit();
      }
    }
    runs.ends.push_back(static_cast<int64_t>(pairs.size()));
    runs_.push_back(std::move(runs));
  }
}

Weights16::Lease Weights16::sample(Runner& runner, const Kernels& kernels, const PsbSpec& spec,
                                   const Precision& precision) {
  if (auto kept = cache_.find(precision)) return kept;
  auto set = cache_.take(lanes_.sampled_size());
  set->precision = precision;
  lanes_.draw(runner, kernels, precision, make_key(precision.seed, spec.stream),
              set->weights.data());
  if (depthwise_) arrange(set.get());
  return cache_.put(std::move(set));
}

void Weights16::arrange(Set16* set) const {
  const int64_t pairs = static_cast<int64_t>(lanes_.order().pairs.size());
  const int64_t size = pairs * 2 * kTileLanes;
  if (set->arranged.size() == 0) {
    set->arranged = Aligned<int16_t>(lanes_.blocks().size() * static_cast<size_t>(size));
  }
  for (size_t b = 0; b < lanes_.blocks().size(); ++b) {
    const OutputBlock& block = lanes_.blocks()[b];
    int16_t* to = set->arranged.data() + static_cast<int64_t>(b) * size;
    for (int at = 0; at < kTileLanes; ++at) {
      const int lane = depthwise16_channel(at / kLanes, at % kLanes);
      if (lane >= block.lanes) continue;
      const int16_t* from = set->weights.data() + block.weights + 2 * lane;
      for (int64_t p = 0; p < pairs; ++p) {
        to[(p * kTileLanes + at) * 2] = from[p * 2 * kLanes * block.vectors];
        to[(p * kTileLanes + at) * 2 + 1] = from[p * 2 * kLanes * block.vectors + 1];
      }
    }
  }
}

}  // namespace reluflow
