#include "fixed16/weights16.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace reluflow {

namespace {

constexpr int kSumBits = 29;      // of a sum in its unit
constexpr int kNarrowBits = 30;   // of a sum that leaves room to round it in int32
constexpr int kNeighbours = 4;    // channels that stay together in order of `depthwise16_channel`
constexpr int kMostSumBits = 45;  // of any sum: high parts and their rounding then fit int32

/// A bound of the |w'| of a channel, added.
int64_t sum_bound(const WeightCode& code, int64_t channel) {
  int64_t bound = 0;
  for (int64_t i = 0; i < code.per_channel; ++i) {
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
    const int64_t bound = sum_bound(code, m) * spec.limit();
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
  made->depthwise_ = shape.group_inputs == 1 && shape.group_outputs == 1;
  // Lanes are channels where each is a group of its own: only the drawing needs them.
  made->lanes_ =
      made->depthwise_
          ? LaneCode(code, spec, {1, spec.channels, 1, shape.taps, tap_pairs(shape.taps)})
          : LaneCode(code, spec, shape);
  made->bound_sums(code, spec);
  *out = std::move(made);
  return {};
}

void Weights16::bound_sums(const WeightCode& code, const PsbSpec& spec) {
  // Behind a Relu sums are at most half as large, and few inputs use all their bits.
  const int64_t limit = spec.limit();
  bounds_ = {{limit, true}, {limit / 2, true}, {limit, false}, {limit / 2, false}};
  for (const OutputBlock& block : lanes_.blocks()) {
    bool wide = false;
    for (int lane = 0; lane < block.lanes; ++lane) {
      wide = wide || sum_bound(code, block.first + lane) * limit >= int64_t{1} << kNarrowBits;
    }
    sums_.push_back({wide, exact_runs(code, lanes_.order(), {block.first, block.lanes}, bounds_)});
  }
}

size_t Weights16::bound_of(const Range16& range) const {
  const int64_t most = std::max(-range.low, range.high);
  size_t number = bounds_.size() - 1;
  for (; number > 0; --number) {
    const InputBound& bound = bounds_[number];
    if (most <= bound.most && (bound.negative || range.low == 0)) break;
  }
  return number;
}

Weights16::Lease Weights16::draw(Runner& runner, const Kernels& kernels, const PsbSpec& spec,
                                 const Precision& precision) {
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
    const int16_t* from = set->weights.data() + block.weights;
    for (int64_t p = 0; p < pairs; ++p, from += int64_t{2} * kLanes * block.vectors) {
      for (int at = 0; at < kTileLanes; at += kNeighbours) {
        const int lane = depthwise16_channel(at / kLanes, at % kLanes);
        if (lane >= block.vectors * kLanes) continue;
        std::memcpy(to + (p * kTileLanes + at) * 2, from + 2 * lane, 2 * kNeighbours * sizeof *to);
      }
    }
  }
}

}  // namespace reluflow
