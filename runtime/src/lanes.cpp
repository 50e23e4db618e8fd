#include "lanes.h"

#include <algorithm>

namespace reluflow {

namespace {

/// Bounds of |w'| of both weights of a pair, added.
int64_t pair_bound(const WeightCode& code, int64_t channel, const WeightPair& pair) {
  const int64_t first = channel * code.per_channel;
  int64_t bound = 0;
  for (const int64_t i : {pair.low, pair.high}) {
    if (i >= 0) bound += weight_bound(code.sign_shift[static_cast<size_t>(first + i)]);
  }
  return bound;
}

int sampler_number(Sampler sampler) {
  return sampler == Sampler::kSystematic ? 0 : sampler == Sampler::kBinomial ? 1 : 2;
}

}  // namespace

int safe_sub_pairs(const WeightCode& code, int64_t channel, const PairOrder& order, int limit) {
  int safe = kBlockPairs;
  std::vector<int64_t> bounds;
  int64_t begin = 0;
  for (const int64_t block_end : order.ends) {
    bounds.clear();
    for (; begin < block_end; ++begin) {
      bounds.push_back(pair_bound(code, channel, order.pairs[static_cast<size_t>(begin)]));
    }
    const size_t count = bounds.size();
    for (size_t start = 0; start < count && safe > 2;) {
      const size_t end = std::min(count, start + static_cast<size_t>(safe));
      int64_t sum = 0;
      for (size_t p = start; p < end; ++p) sum += bounds[p];
      if (sum * limit < (int64_t{1} << 31)) {
        start = end;
      } else {
        safe /= 2;
        start = 0;
      }
    }
  }
  return safe;
}

LaneCode::LaneCode(const WeightCode& code, const PsbSpec& spec, const LaneShape& shape)
    : shape_(shape), per_channel_(spec.weights_per_channel) {
  if (shape_.order.pairs.empty()) shape_.order = channel_pairs(shape.group_inputs, shape.taps);
  const int64_t pairs = static_cast<int64_t>(order().pairs.size());
  for (const WeightPair& pair : order().pairs) {
    first_.push_back(static_cast<uint32_t>(std::max<int64_t>(pair.low, 0)));
    second_.push_back(static_cast<uint32_t>(std::max<int64_t>(pair.high, 0)));
  }
  for (int64_t group = 0; group < shape.groups; ++group) {
    for (int64_t at = 0; at < shape.group_outputs; at += kTileLanes) {
      OutputBlock block;
      block.group = group;
      block.first = group * shape.group_outputs + at;
      block.lanes = static_cast<int>(std::min<int64_t>(kTileLanes, shape.group_outputs - at));
      block.vectors = (block.lanes + kLanes - 1) / kLanes;
      block.weights = sampled_size_;
      block.sub_pairs = kBlockPairs;
      for (int lane = 0; lane < block.lanes; ++lane) {
        block.sub_pairs = std::min(block.sub_pairs,
                                   safe_sub_pairs(code, block.first + lane, order(), spec.limit()));
      }
      sampled_size_ += int64_t{2} * kLanes * block.vectors * pairs;
      blocks_.push_back(block);
    }
  }
  // A probability of at most 8 bits leaves the low byte of its word, and of c, free.
  joined_ = spec.p_bits <= 8;
  p16_ = Aligned<uint16_t>(static_cast<size_t>(sampled_size_));
  if (!joined_) carried_ = Aligned<uint16_t>(p16_.size());
  sign_shift_ = Aligned<uint8_t>(p16_.size());
  std::fill(sign_shift_.data(), sign_shift_.data() + sign_shift_.size(), uint8_t{kZeroShift});
  for (const OutputBlock& block : blocks_) fill(code, block);
}

void LaneCode::fill(const WeightCode& code, const OutputBlock& block) {
  const auto put = [&](int64_t at, int64_t i) {
    const size_t to = static_cast<size_t>(block.weights + at);
    const size_t from = static_cast<size_t>(i);
    p16_[to] = static_cast<uint16_t>(code.p16[from] | (joined_ ? code.carried[from] >> 8 : 0));
    if (!joined_) carried_[to] = code.carried[from];
    sign_shift_[to] = code.sign_shift[from];
  };
  int64_t at = 0;
  for (const WeightPair& pair : order().pairs) {
    for (int lane = 0; lane < block.lanes; ++lane) {
      const int64_t channel = (block.first + lane) * per_channel_;
      if (pair.low >= 0) put(at + 2 * lane, channel + pair.low);
      if (pair.high >= 0) put(at + 2 * lane + 1, channel + pair.high);
    }
    at += int64_t{2} * kLanes * block.vectors;
  }
}

void LaneCode::draw(Runner& runner, const Kernels& kernels, const Precision& precision, Key key,
                    int16_t* out) const {
  constexpr int64_t kPairsPerItem = 128;  // up to 16384 weights
  const int64_t pairs = static_cast<int64_t>(order().pairs.size());
  const size_t steps = static_cast<size_t>((pairs + kPairsPerItem - 1) / kPairsPerItem);
  auto work = [&](size_t item) {
    const OutputBlock& block = blocks_[item / steps];
    DrawArgs args;
    args.p16 = p16_.data() + block.weights;
    args.carried = joined_ ? nullptr : carried_.data() + block.weights;
    args.sign_shift = sign_shift_.data() + block.weights;
    args.first_channel = static_cast<uint32_t>(block.first);
    args.per_channel = per_channel_;
    args.first = first_.data();
    args.second = second_.data();
    args.vectors = block.vectors;
    args.pair_begin = static_cast<int64_t>(item % steps) * kPairsPerItem;
    args.pair_end = std::min(pairs, args.pair_begin + kPairsPerItem);
    args.log2_n = precision.log2_n;
    args.sampler = sampler_number(precision.sampler);
    args.key_a = key.a;
    args.key_b = key.b;
    args.out = out + block.weights;
    kernels.draw(args);
  };
  parallel_for(runner, blocks_.size() * steps, work);
}

}  // namespace reluflow
