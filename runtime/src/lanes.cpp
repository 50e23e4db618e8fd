#include "lanes.h"

#include <algorithm>

namespace reluflow {

namespace {

/// Bounds of |w'| of both weights of a pair, added.
int64_t pair_bound(const WeightCode& code, int64_t channel, const LaneShape& shape, int64_t pair) {
  const int64_t c = 2 * (pair / shape.taps);
  const int64_t first = channel * shape.group_inputs * shape.taps + pair % shape.taps;
  int64_t bound = weight_bound(code.sign_shift[static_cast<size_t>(first + c * shape.taps)]);
  if (c + 1 < shape.group_inputs) {
    bound += weight_bound(code.sign_shift[static_cast<size_t>(first + (c + 1) * shape.taps)]);
  }
  return bound;
}

int sampler_number(Sampler sampler) {
  return sampler == Sampler::kSystematic ? 0 : sampler == Sampler::kBinomial ? 1 : 2;
}

}  // namespace

int safe_sub_pairs(const WeightCode& code, int64_t channel, const LaneShape& shape, int limit) {
  int safe = kBlockPairs;
  const int64_t pairs = shape.pairs();
  std::vector<int64_t> bounds(kBlockPairs);
  for (int64_t begin = 0; begin < pairs && safe > 2; begin += kBlockPairs) {
    const int64_t count = std::min<int64_t>(kBlockPairs, pairs - begin);
    for (int64_t p = 0; p < count; ++p)
      bounds[static_cast<size_t>(p)] = pair_bound(code, channel, shape, begin + p);
    for (int64_t start = 0; start < count && safe > 2;) {
      const int64_t end = std::min<int64_t>(count, start + safe);
      int64_t sum = 0;
      for (int64_t p = start; p < end; ++p) sum += bounds[static_cast<size_t>(p)];
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
                                   safe_sub_pairs(code, block.first + lane, shape, spec.limit()));
      }
      sampled_size_ += int64_t{2} * kLanes * block.vectors * shape.pairs();
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
  for (int lane = 0; lane < block.lanes; ++lane) {
    size_t i = static_cast<size_t>((block.first + lane) * per_channel_);
    for (int64_t c = 0; c < shape_.group_inputs; ++c) {
      for (int64_t t = 0; t < shape_.taps; ++t, ++i) {
        const int64_t pair = c / 2 * shape_.taps + t;
        const size_t to = static_cast<size_t>(
            block.weights + (pair * block.vectors * kLanes + lane) * 2 + c % 2);
        p16_[to] = static_cast<uint16_t>(code.p16[i] | (joined_ ? code.carried[i] >> 8 : 0));
        if (!joined_) carried_[to] = code.carried[i];
        sign_shift_[to] = code.sign_shift[i];
      }
    }
  }
}

void LaneCode::draw(Runner& runner, const Kernels& kernels, const Precision& precision, Key key,
                    int16_t* out) const {
  constexpr int64_t kPairsPerItem = 128;  // up to 16384 weights
  const int64_t pairs = shape_.pairs();
  const size_t steps = static_cast<size_t>((pairs + kPairsPerItem - 1) / kPairsPerItem);
  auto work = [&](size_t item) {
    const OutputBlock& block = blocks_[item / steps];
    DrawArgs args;
    args.p16 = p16_.data() + block.weights;
    args.carried = joined_ ? nullptr : carried_.data() + block.weights;
    args.sign_shift = sign_shift_.data() + block.weights;
    args.first_channel = static_cast<uint32_t>(block.first);
    args.per_channel = per_channel_;
    args.taps = shape_.taps;
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
