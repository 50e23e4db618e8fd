#include "grid/grid.h"

#include <algorithm>
#include <array>

namespace reluflow {

namespace {

constexpr int kSteps = 256;         // a draw is decided by 8 bits
constexpr int64_t kMostByte = 255;  // of an input

/// The mean in units of 2^-24 steps of the grid.
int64_t grid_mean(uint16_t p16, int j) {
  return j == kZeroShift ? 0 : int64_t{65536 + p16} << (14 - j);
}

/// log2 of the step that samples leave, in steps of the grid.
int log2_step(int j, int log2_n) { return std::max(0, kGridBits - j - log2_n); }

/// What the codes with 4 bits of p are drawn from, for one number of samples.
struct Tables {
  FixedTables drawn;
  alignas(64) uint8_t nearest[kFixedCodes];
};

Tables make_tables(int log2_n) {
  Tables t{};
  for (int i = 0; i < kFixedCodes; ++i) {
    const uint16_t p16 = static_cast<uint16_t>((i & 15) << 12);
    const int j = 15 - (i >> 4);
    const GridStep step = grid_step(p16, j, log2_n);
    t.nearest[i] = grid_nearest(p16, j, log2_n);
    t.drawn.low[i] = step.low;
    t.drawn.high[i] = step.chance == 0 ? step.low : step.high;
    t.drawn.chance[i] = step.chance;
  }
  return t;
}

/// Made once in a process: making them takes longer than drawing a small layer.
const Tables& grid_tables(int log2_n) {
  static const auto all = [] {
    std::array<Tables, kMostLog2N + 1> tables;
    for (int n = 0; n <= kMostLog2N; ++n) tables[static_cast<size_t>(n)] = make_tables(n);
    return tables;
  }();
  return all[static_cast<size_t>(log2_n)];
}

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
  depthwise_ = shape.group_inputs == 1 && shape.group_outputs == 1;
  // Lanes are channels where each is a group of its own.
  if (depthwise_) shape_ = {1, spec.channels, 1, shape.taps};
  quads_ = (shape_.group_inputs + kQuad - 1) / kQuad * shape_.taps;
  for (int64_t group = 0; group < shape_.groups; ++group) {
    for (int64_t at = 0; at < shape_.group_outputs; at += kTileLanes) {
      OutputBlock block{};
      block.group = group;
      block.first = group * shape_.group_outputs + at;
      block.lanes = static_cast<int>(std::min<int64_t>(kTileLanes, shape_.group_outputs - at));
      block.vectors = (block.lanes + kLanes - 1) / kLanes;
      block.weights = size_;
      size_ += bytes(block);
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
  const int64_t lane_bytes = depthwise_ ? 1 : kQuad;
  for (int lane = 0; lane < block.lanes; ++lane) {
    const int64_t first = (block.first + lane) * per_channel_;
    int64_t sum = 0;
    for (int64_t i = 0; i < per_channel_; ++i) {
      const int64_t channel = i / shape_.taps;
      const int64_t quad = channel / kQuad * shape_.taps + i % shape_.taps;
      const size_t to = static_cast<size_t>(block.weights + quad * row(block) + lane * lane_bytes +
                                            channel % kQuad);
      const size_t from = static_cast<size_t>(first + i);
      const int j = code.sign_shift[from] & 15;
      const uint16_t p16 = code.p16[from];
      codes_[to] =
          narrow_ ? static_cast<uint8_t>((15 - j) << 4 | p16 >> 12) : static_cast<uint8_t>(j);
      if (!narrow_) p16_[to] = p16;
      if (j == kZeroShift) continue;
      if (code.sign_shift[from] & kNegative) signs_[to / 64] |= uint64_t{1} << (to % 64);
      // No draw is beyond the next multiple of the largest step, that of one sample.
      sum += std::min(kGridMost, 2 << std::max(0, kGridBits - j));
    }
    most_sum_ = std::max(most_sum_, sum * kMostByte);
  }
}

void GridCode::add_up(const Kernels& kernels, const OutputBlock& block, const int8_t* w,
                      int32_t* sums) const {
  std::fill(sums, sums + kTileLanes, 0);
  if (!depthwise_) return kernels.fixed_sums(w, quads_, block.vectors, sums);
  for (int64_t tap = 0; tap < quads_; ++tap, w += kTileLanes) {
    for (int lane = 0; lane < kTileLanes; ++lane) sums[lane] += w[lane];
  }
}

GridDraw::GridDraw(const GridCode& code, const Kernels& kernels, const Precision& precision,
                   Key key)
    : code_(code),
      kernels_(kernels),
      precision_(precision),
      key_(key),
      tables_(precision.sampler == Sampler::kNearest ? nullptr
                                                     : &grid_tables(precision.log2_n).drawn),
      nearest_(grid_tables(precision.log2_n).nearest) {}

void GridDraw::draw_wide(const OutputBlock& block, uint8_t* carry, int8_t* out) const {
  const bool nearest = precision_.sampler == Sampler::kNearest;
  const int64_t row = code_.row(block);
  for (int64_t i = 0; i < row * code_.quads_; ++i) {
    const size_t at = static_cast<size_t>(block.weights + i);
    const int j = code_.codes_[at];
    const bool negative = code_.signs_[at / 64] >> (at % 64) & 1;
    int magnitude;
    if (nearest) {
      magnitude = grid_nearest(code_.p16_[at], j, precision_.log2_n);
    } else {
      const GridStep step = grid_step(code_.p16_[at], j, precision_.log2_n);
      uint8_t& r = carry[i % row];
      const uint8_t next = static_cast<uint8_t>(negative ? r - step.chance : r + step.chance);
      magnitude = (negative ? r : next) < step.chance ? step.high : step.low;
      r = next;
    }
    out[i] = static_cast<int8_t>(negative ? -magnitude : magnitude);
  }
}

void GridDraw::operator()(const OutputBlock& block, int8_t* out) const {
  alignas(64) uint8_t carry[kTileLanes * kQuad];
  const int lane_bytes = code_.depthwise_ ? 1 : kQuad;
  for (int lane = 0; lane < kTileLanes; ++lane) {
    const uint32_t u = grid_offsets(key_, block.first + lane);
    for (int b = 0; b < lane_bytes; ++b) {
      carry[lane * lane_bytes + b] = static_cast<uint8_t>(u >> (8 * b));
    }
  }
  if (!code_.narrow_) return draw_wide(block, carry, out);
  const size_t at = static_cast<size_t>(block.weights);
  FixedDrawArgs args{};
  args.codes = code_.codes_.data() + at;
  args.signs = code_.signs_.data() + at / 64;
  args.tables = tables_;
  args.nearest = nearest_;
  args.carry = carry;
  args.quads = code_.quads_;
  args.vectors = code_.depthwise_ ? 1 : block.vectors;
  args.out = out;
  kernels_.fixed_draw(args);
}

}  // namespace reluflow
