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
  code_stride_ = (per_channel_ + 1) / 2 * 2 * kLanes;
  std::vector<int> lanes_of;
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
      const int64_t stride = int64_t{2} * kLanes * block.vectors;
      for (int v = 0; v < block.vectors; ++v) {
        lane_blocks_.push_back({block.first + v * kLanes, sampled_size_ + v * 2 * kLanes, stride});
        lanes_of.push_back(std::min(kLanes, block.lanes - v * kLanes));
      }
      sampled_size_ += stride * shape.pairs();
      blocks_.push_back(block);
    }
  }
  p16_ = Aligned<uint16_t>(lane_blocks_.size() * static_cast<size_t>(code_stride_));
  // A probability of at most 8 bits leaves the low byte of its word free.
  joined_ = spec.p_bits <= 8;
  if (joined_) {
    std::fill(p16_.data(), p16_.data() + p16_.size(), uint16_t{kZeroShift});
  } else {
    sign_shift_ = Aligned<uint8_t>(p16_.size());
    std::fill(sign_shift_.data(), sign_shift_.data() + sign_shift_.size(), uint8_t{kZeroShift});
  }
  for (size_t i = 0; i < lane_blocks_.size(); ++i) fill(code, i, lanes_of[i]);
}

void LaneCode::fill(const WeightCode& code, size_t lane_block, int lanes) {
  const size_t base = lane_block * static_cast<size_t>(code_stride_);
  for (int lane = 0; lane < lanes; ++lane) {
    const int64_t from = (lane_blocks_[lane_block].first + lane) * per_channel_;
    for (int64_t q = 0; q < per_channel_; ++q) {
      const size_t to = base + static_cast<size_t>((q / 2 * kLanes + lane) * 2 + q % 2);
      const size_t i = static_cast<size_t>(from + q);
      p16_[to] = static_cast<uint16_t>(code.p16[i] | (joined_ ? code.sign_shift[i] : 0));
      if (!joined_) sign_shift_[to] = code.sign_shift[i];
    }
  }
}

void LaneCode::draw(Runner& runner, const Kernels& kernels, const Precision& precision, Key key,
                    int16_t* out) const {
  constexpr int64_t kPairsPerItem = 256;  // 8192 weights
  const int64_t channel_pairs = (shape_.group_inputs + 1) / 2;
  const int64_t step = std::max<int64_t>(1, kPairsPerItem / shape_.taps);
  const int64_t steps = (channel_pairs + step - 1) / step;
  auto work = [&](size_t item) {
    const LaneBlock& block = lane_blocks_[item / static_cast<size_t>(steps)];
    const size_t code_at = item / static_cast<size_t>(steps) * static_cast<size_t>(code_stride_);
    DrawArgs args;
    args.p16 = p16_.data() + code_at;
    args.sign_shift = joined_ ? nullptr : sign_shift_.data() + code_at;
    args.first_weight = static_cast<uint32_t>(block.first * per_channel_);
    args.per_channel = per_channel_;
    args.taps = shape_.taps;
    args.channels = shape_.group_inputs;
    args.pair_begin = static_cast<int64_t>(item) % steps * step;
    args.pair_end = std::min(channel_pairs, args.pair_begin + step);
    args.log2_n = precision.log2_n;
    args.sampler = sampler_number(precision.sampler);
    args.key_a = key.a;
    args.key_b = key.b;
    args.out = out + block.out;
    args.stride = block.stride;
    kernels.draw(args);
  };
  parallel_for(runner, lane_blocks_.size() * static_cast<size_t>(steps), work);
}

}  // namespace reluflow
