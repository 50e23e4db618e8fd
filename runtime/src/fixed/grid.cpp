#include "fixed/grid.h"

#include <algorithm>

namespace reluflow {

namespace {

constexpr int kSteps = 256;  // a draw is decided by 8 bits

/// The mean in units of 2^-24 steps of the grid.
int64_t grid_mean(uint16_t p16, int j) {
  return j == kZeroShift ? 0 : int64_t{65536 + p16} << (14 - j);
}

/// log2 of the step that samples leave, in steps of the grid.
int log2_step(int j, int log2_n) { return std::max(0, kGridBits - j - log2_n); }

}  // namespace

GridStep grid_step(uint16_t p16, int j, int log2_n) {
  const int64_t mean = grid_mean(p16, j);
  const int step = log2_step(j, log2_n);
  const int64_t low = std::min<int64_t>(mean >> kGridUnits >> step << step, kGridMost);
  const int64_t high = std::min<int64_t>(low + (int64_t{1} << step), kGridMost);
  if (low == high) return {static_cast<uint8_t>(low), static_cast<uint8_t>(high), 0};
  const int64_t width = (high - low) << kGridUnits;
  const int64_t rest = mean - (low << kGridUnits);
  const int64_t chance = std::min<int64_t>((2 * kSteps * rest + width) / (2 * width), kSteps);
  if (chance == kSteps) return {static_cast<uint8_t>(high), static_cast<uint8_t>(high), 0};
  return {static_cast<uint8_t>(low), static_cast<uint8_t>(high), static_cast<uint8_t>(chance)};
}

uint8_t grid_nearest(uint16_t p16, int j, int log2_n) {
  const int shift = kGridUnits + log2_step(j, log2_n);
  const int64_t k = (grid_mean(p16, j) + (int64_t{1} << (shift - 1))) >> shift;
  return static_cast<uint8_t>(std::min<int64_t>(k << (shift - kGridUnits), kGridMost));
}

GridCode::GridCode(const WeightCode& code, const PsbSpec& spec, const LaneShape& shape)
    : shape_(shape), per_channel_(spec.weights_per_channel), narrow_(spec.p_bits <= 4) {
  quads_ = (shape.group_inputs + kQuad - 1) / kQuad * shape.taps;
  for (int64_t group = 0; group < shape.groups; ++group) {
    for (int64_t at = 0; at < shape.group_outputs; at += kTileLanes) {
      OutputBlock block{};
      block.group = group;
      block.first = group * shape.group_outputs + at;
      block.lanes = static_cast<int>(std::min<int64_t>(kTileLanes, shape.group_outputs - at));
      block.vectors = (block.lanes + kLanes - 1) / kLanes;
      block.weights = size_;
      size_ += int64_t{kQuad} * kLanes * block.vectors * quads_;
      blocks_.push_back(block);
    }
  }
  const size_t count = static_cast<size_t>(size_);
  codes_ = Aligned<uint8_t>(count);
  if (!narrow_) {
    std::fill(codes_.data(), codes_.data() + count, static_cast<uint8_t>(kZeroShift));
    p16_ = Aligned<uint16_t>(count);
  }
  signs_.assign(count / 64, 0);
  for (const OutputBlock& block : blocks_) fill(code, block);
}

void GridCode::fill(const WeightCode& code, const OutputBlock& block) {
  const int64_t row = int64_t{kQuad} * kLanes * block.vectors;
  for (int lane = 0; lane < block.lanes; ++lane) {
    const int64_t first = (block.first + lane) * per_channel_;
    int64_t sum = 0;
    for (int64_t i = 0; i < per_channel_; ++i) {
      const int64_t channel = i / shape_.taps;
      const int64_t quad = channel / kQuad * shape_.taps + i % shape_.taps;
      const size_t to =
          static_cast<size_t>(block.weights + quad * row + lane * kQuad + channel % kQuad);
      const size_t from = static_cast<size_t>(first + i);
      const int j = code.sign_shift[from] & 15;
      const uint16_t p16 = code.p16[from];
      codes_[to] =
          narrow_ ? static_cast<uint8_t>((15 - j) << 4 | p16 >> 12) : static_cast<uint8_t>(j);
      if (!narrow_) p16_[to] = p16;
      if (code.sign_shift[from] & kNegative) signs_[to / 64] |= uint64_t{1} << (to % 64);
      // No draw is beyond the next multiple of the largest step, that of one sample.
      sum += j == kZeroShift ? 0 : std::min(kGridMost, 2 << std::max(0, kGridBits - j));
    }
    most_sum_ = std::max(most_sum_, sum * 255);
  }
}

void GridCode::draw_wide(const OutputBlock& block, const Precision& precision, uint8_t* carry,
                         int8_t* out) const {
  const bool nearest = precision.sampler == Sampler::kNearest;
  const int64_t row = int64_t{kQuad} * kLanes * block.vectors;
  for (int64_t i = 0; i < row * quads_; ++i) {
    const size_t at = static_cast<size_t>(block.weights + i);
    const int j = codes_[at];
    const bool negative = signs_[at / 64] >> (at % 64) & 1;
    int magnitude;
    if (nearest) {
      magnitude = grid_nearest(p16_[at], j, precision.log2_n);
    } else {
      const GridStep step = grid_step(p16_[at], j, precision.log2_n);
      uint8_t& r = carry[i % row];
      const uint8_t next = static_cast<uint8_t>(negative ? r - step.chance : r + step.chance);
      magnitude = (negative ? r : next) < step.chance ? step.high : step.low;
      r = next;
    }
    out[i] = static_cast<int8_t>(negative ? -magnitude : magnitude);
  }
}

void GridCode::draw(Runner& runner, const Kernels& kernels, const Precision& precision, Key key,
                    int8_t* out) const {
  alignas(64) uint8_t low[kFixedCodes];
  alignas(64) uint8_t high[kFixedCodes];
  alignas(64) uint8_t chance[kFixedCodes];
  const bool nearest = precision.sampler == Sampler::kNearest;
  for (int i = 0; narrow_ && i < kFixedCodes; ++i) {
    const uint16_t p16 = static_cast<uint16_t>((i & 15) << 12);
    const int j = 15 - (i >> 4);
    GridStep step = grid_step(p16, j, precision.log2_n);
    if (nearest) step.low = step.high = grid_nearest(p16, j, precision.log2_n);
    low[i] = step.low;
    high[i] = step.high;
    chance[i] = nearest ? 0 : step.chance;
  }
  const auto work = [&](size_t item) {
    const OutputBlock& block = blocks_[item];
    alignas(64) uint8_t carry[kTileLanes * kQuad];
    for (int lane = 0; lane < kTileLanes; ++lane) {
      const uint32_t u = grid_offsets(key, block.first + lane);
      for (int b = 0; b < kQuad; ++b) carry[lane * kQuad + b] = static_cast<uint8_t>(u >> (8 * b));
    }
    if (!narrow_) return draw_wide(block, precision, carry, out + block.weights);
    const size_t at = static_cast<size_t>(block.weights);
    kernels.fixed_draw({codes_.data() + at, signs_.data() + at / 64, low, high, chance, carry,
                        quads_ * block.vectors, block.vectors, out + at});
  };
  parallel_for(runner, blocks_.size(), work);
}

}  // namespace reluflow
