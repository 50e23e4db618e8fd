#include "weights/lanes.h"

#include <algorithm>

#include "weights/exact_runs.h"

namespace reluflow {

namespace {

constexpr uint32_t kBothHalves = 0x10001u;  // times 16 bits: those bits in both halves of a word
constexpr int kSmallShifts = kZeroShift - kSmallShift;  // shifts of small weights

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
      runs_.emplace_back();
      if (block.sub_pairs < kBlockPairs) {
        const InputBound bound{spec.limit(), true};
        runs_.back() = exact_runs(code, order(), {block.first, block.lanes}, {bound}).front();
      }
      blocks_.push_back(block);
    }
  }
  // A probability of at most 8 bits leaves the low byte of its word, and of c, free. One of at most
  // 4 leaves room for the exponent, too.
  packed_ = spec.p_bits <= 4;
  joined_ = !packed_ && spec.p_bits <= 8;
  p16_ = Aligned<uint16_t>(static_cast<size_t>(sampled_size_));
  if (packed_) {
    std::fill(p16_.data(), p16_.data() + p16_.size(), uint16_t{kZeroShift});
    factors_ = Aligned<int16_t>(kPackedCodes);
    for (int i = 0; i < kPackedCodes; ++i) {
      factors_[static_cast<size_t>(i)] = sampled_factor(
          static_cast<uint8_t>((i & kShiftMask) | (i & kPackedSign ? kNegative : 0)));
    }
  } else {
    if (!joined_) carried_ = Aligned<uint16_t>(p16_.size());
    sign_shift_ = Aligned<uint8_t>(p16_.size());
    if (joined_) factors_ = Aligned<int16_t>(p16_.size());
    std::fill(sign_shift_.data(), sign_shift_.data() + sign_shift_.size(), uint8_t{kZeroShift});
  }
  for (const OutputBlock& block : blocks_) fill(code, block);
  small_begin_.push_back(small_.size());
}

void LaneCode::fill(const WeightCode& code, const OutputBlock& block) {
  const auto put = [&](int64_t at, int64_t i) {
    const size_t to = static_cast<size_t>(block.weights + at);
    const size_t from = static_cast<size_t>(i);
    const int j = code.sign_shift[from] & kShiftMask;
    if (packed_) {
      const int sign = code.sign_shift[from] & kNegative ? kPackedSign : 0;
      p16_[to] =
          static_cast<uint16_t>(code.p16[from] | code.carried[from] >> kPackedCarry | sign | j);
    } else {
      p16_[to] = static_cast<uint16_t>(code.p16[from] | (joined_ ? code.carried[from] >> 8 : 0));
      if (!joined_) carried_[to] = code.carried[from];
      sign_shift_[to] = code.sign_shift[from];
      if (joined_) factors_[to] = sampled_factor(code.sign_shift[from]);
    }
    if (code.before.empty() || j < kSmallShift || j == kZeroShift) return;
    const int64_t row = int64_t{2} * kLanes * block.vectors;
    small_.push_back({at / row, small_value(code.p16[from], code.sign_shift[from]),
                      code.before[from], static_cast<uint8_t>(at % row), static_cast<uint8_t>(j)});
  };
  const auto first_small = static_cast<std::ptrdiff_t>(small_.size());
  int64_t at = 0;
  for (const WeightPair& pair : order().pairs) {
    for (int lane = 0; lane < block.lanes; ++lane) {
      const int64_t channel = (block.first + lane) * per_channel_;
      if (pair.low >= 0) put(at + 2 * lane, channel + pair.low);
      if (pair.high >= 0) put(at + 2 * lane + 1, channel + pair.high);
    }
    at += int64_t{2} * kLanes * block.vectors;
  }
  const auto first = small_.begin() + first_small;
  std::stable_sort(first, small_.end(),
                   [](const SmallLane& a, const SmallLane& b) { return a.shift > b.shift; });
  for (int shift = kZeroShift - 1; shift >= kSmallShift; --shift) {
    const auto larger = [&](const SmallLane& s) { return s.shift > shift; };
    small_begin_.push_back(
        static_cast<size_t>(std::partition_point(first, small_.end(), larger) - small_.begin()));
  }
}

BlockDraw::BlockDraw(const LaneCode& code, size_t number, const Kernels& kernels,
                     const Precision& precision, Key key, int16_t* out)
    : kernels_(kernels),
      all_small_(code.small_.data()),
      small_begin_(code.small_begin_.data() + number * kSmallShifts),
      small_shifts_(std::clamp(kZeroShift - 1 - precision.fraction_bits(), 0, kSmallShifts)) {
  const OutputBlock& block = code.blocks_[number];
  const DrawMasks masks = draw_masks(precision.log2_n, code.packed_);
  const uint32_t first = static_cast<uint32_t>(block.first);
  if (small_begin_[0] != small_begin_[small_shifts_]) {
    kernels.random(key.a, key.b, first, ~0u, kTileLanes, small_offsets_);
    const bool nearest = precision.sampler == Sampler::kNearest;
    for (uint32_t& u : small_offsets_) u = nearest ? small_nearest() : u & kSmallMask;
  }
  if (precision.sampler == Sampler::kSystematic) {
    kernels.random(key.a, key.b, first, 0, kTileLanes, offsets_);
  }
  for (int lane = 0; lane < kTileLanes; ++lane) {
    const uint32_t u = offsets_[lane] & 0xffffu;
    offsets_[lane] = u * kBothHalves;  // for both halves of a word
    shifted_[lane] = (u >> (precision.log2_n + 3) & masks.offset) * kBothHalves;
  }
  rest_ = masks.rest * kBothHalves;
  args_.p16 = code.p16_.data() + block.weights;
  const bool apart = !code.joined_ && !code.packed_;
  args_.carried = apart ? code.carried_.data() + block.weights : nullptr;
  args_.sign_shift = code.packed_ ? nullptr : code.sign_shift_.data() + block.weights;
  args_.factors = apart          ? nullptr
                  : code.packed_ ? code.factors_.data()
                                 : code.factors_.data() + block.weights;
  args_.first_channel = static_cast<uint32_t>(block.first);
  args_.per_channel = code.per_channel_;
  args_.offsets = offsets_;
  args_.first = code.first_.data();
  args_.second = code.second_.data();
  args_.vectors = block.vectors;
  args_.log2_n = precision.log2_n;
  args_.sampler = sampler_number(precision.sampler);
  args_.key_a = key.a;
  args_.key_b = key.b;
  args_.out = out;
}

void BlockDraw::settle(int64_t pair_begin, int64_t pair_end) const {
  const auto before = [](const SmallLane& small, int64_t pair) { return small.pair < pair; };
  const int64_t row = int64_t{2} * kLanes * args_.vectors;
  for (int i = 0; i < small_shifts_; ++i) {
    const SmallLane* s = all_small_ + small_begin_[i];
    const SmallLane* end = all_small_ + small_begin_[i + 1];
    for (s = std::lower_bound(s, end, pair_begin, before); s != end && s->pair < pair_end; ++s) {
      args_.out[s->pair * row + s->at] =
          static_cast<int16_t>(small_weight(s->value, s->before, small_offsets_[s->at / 2]));
    }
  }
}

Ahead BlockDraw::ahead(int64_t begin, int64_t end, int64_t line, const int16_t* near) const {
  const int64_t width = int64_t{2} * kLanes * args_.vectors;
  const auto from = [&](const auto* data) {
    if (data == nullptr) return reinterpret_cast<const char*>(near);
    const char* first = reinterpret_cast<const char*>(data + begin * width) + line * 64;
    return first < reinterpret_cast<const char*>(data + end * width)
               ? first
               : reinterpret_cast<const char*>(near);
  };
  Ahead ahead{};
  ahead.words = from(args_.p16);
  ahead.factors = args_.sign_shift ? from(args_.factors) : reinterpret_cast<const char*>(near);
  ahead.out = from(args_.out);
  return ahead;
}

void BlockDraw::drawn_by_tile(int64_t pair, Ahead* ahead) const {
  const int64_t at = pair * args_.vectors * 2 * kLanes;
  ahead->draw_words = args_.p16 + at;
  ahead->packed = !args_.sign_shift;
  ahead->draw_factors = ahead->packed ? args_.factors : args_.factors + at;
  ahead->draw_out = args_.out + at;
  ahead->shifted = shifted_;
  ahead->rest = rest_;
}

void LaneCode::draw(Runner& runner, const Kernels& kernels, const Precision& precision, Key key,
                    int16_t* out) const {
  constexpr int64_t kPairsPerItem = 128;  // up to 16384 weights
  const int64_t pairs = static_cast<int64_t>(order().pairs.size());
  const size_t steps = static_cast<size_t>((pairs + kPairsPerItem - 1) / kPairsPerItem);
  auto work = [&](size_t item) {
    const size_t number = item / steps;
    BlockDraw draw(*this, number, kernels, precision, key, out + blocks_[number].weights);
    const int64_t begin = static_cast<int64_t>(item % steps) * kPairsPerItem;
    draw(begin, std::min(pairs, begin + kPairsPerItem));
  };
  parallel_for(runner, blocks_.size() * steps, work);
}

}  // namespace reluflow
