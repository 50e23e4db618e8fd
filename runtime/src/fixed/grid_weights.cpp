#include "fixed/grid_weights.h"

#include <algorithm>
#include <string>

namespace reluflow {

Status GridWeights::make(const uint8_t* planes, const PsbSpec& spec, const LaneShape& shape,
                         std::unique_ptr<GridWeights>* out) {
  if (spec.per_product) {
    return Status(
        "draws is \"product\", but on the 8-bit grid draws are made per run; convert the "
        "model with draws \"run\" or with more bits for its activations.");
  }
  if (spec.sampler == Sampler::kBinomial) {
    return Status(
        "sampler is \"binomial\", but the 8-bit grid has systematic and nearest; convert "
        "the model with one of these or with more bits for its activations.");
  }
  WeightCode code;
  RELUFLOW_RETURN_IF_BAD(unpack_planes(planes, spec, &code));
  auto made = std::make_unique<GridWeights>();
  made->depthwise_ = shape.group_inputs == 1 && shape.group_outputs == 1;
  // Lanes are channels where each is a group of its own: only the drawing needs them.
  made->code_ =
      GridCode(code, spec, made->depthwise_ ? LaneShape{1, spec.channels, 1, shape.taps} : shape);
  if (made->code_.most_sum() >= int64_t{1} << 29) {
    return Status("the weights of a channel add up to as much as " +
                  std::to_string(made->code_.most_sum()) +
                  " with bytes, but less than 2^29 is wanted; convert the model with more bits for "
                  "its activations.");
  }
  *out = std::move(made);
  return {};
}

GridWeights::Lease GridWeights::sample(Runner& runner, const Kernels& kernels, const PsbSpec& spec,
                                       const Precision& precision) {
  if (auto kept = cache_.find(precision)) return kept;
  auto set = cache_.take(code_.size());
  set->precision = precision;
  code_.draw(runner, kernels, precision, make_key(precision.seed, spec.stream),
             set->weights.data());
  set->sums.assign(static_cast<size_t>(spec.channels), 0);
  const auto add_up = [&](size_t number) {
    const OutputBlock& block = code_.blocks()[number];
    int32_t sums[kTileLanes * kQuad] = {};
    const int64_t row = int64_t{kQuad} * kLanes * block.vectors;
    for (int64_t q = 0; q < code_.quads(); ++q) {
      const int8_t* w = set->weights.data() + block.weights + q * row;
      for (int64_t i = 0; i < row; ++i) sums[i] += w[i];
    }
    for (int lane = 0; lane < block.lanes; ++lane) {
      int32_t& sum = set->sums[static_cast<size_t>(block.first + lane)];
      for (int b = 0; b < kQuad; ++b) sum += sums[lane * kQuad + b];
    }
  };
  parallel_for(runner, code_.blocks().size(), add_up);
  if (depthwise_) arrange(set.get());
  return cache_.put(std::move(set));
}

void GridWeights::arrange(GridSet* set) const {
  const int64_t taps = code_.quads();
  const int64_t rows = taps / kernel_columns_;
  const FixedColumns shared = columns_;
  const int64_t vectors = rows * shared.outputs * shared.quads * 4;
  if (set->taps.size() == 0) {
    set->taps = Aligned<int8_t>(code_.blocks().size() * static_cast<size_t>(taps * kTileLanes));
    set->arranged = Aligned<int8_t>(code_.blocks().size() * static_cast<size_t>(vectors * 64));
  }
  for (size_t b = 0; b < code_.blocks().size(); ++b) {
    const OutputBlock& block = code_.blocks()[b];
    int8_t* natural = set->taps.data() + static_cast<int64_t>(b) * taps * kTileLanes;
    for (int64_t t = 0; t < taps; ++t) {
      const int8_t* from = set->weights.data() + block.weights + t * kQuad * kLanes * block.vectors;
      for (int lane = 0; lane < block.lanes; ++lane) {
        natural[t * kTileLanes + lane] = from[lane * kQuad];
      }
    }
    int8_t* to = set->arranged.data() + static_cast<int64_t>(b) * vectors * 64;
    for (int64_t i = 0; i < vectors * 64; ++i) {
      const int byte = static_cast<int>(i % kQuad);
      const int lane =
          depthwise_channel(static_cast<int>(i / 64 % 4), static_cast<int>(i / 4 % 16));
      const int64_t quad = i / 256 % shared.quads;
      const int64_t output = i / 256 / shared.quads % shared.outputs;
      const int64_t row = i / 256 / shared.quads / shared.outputs;
      const int64_t column = quad * kQuad + byte - output * column_stride_;
      const bool inside = column >= 0 && column < kernel_columns_;
      to[i] = inside ? natural[(row * kernel_columns_ + column) * kTileLanes + lane] : int8_t{0};
    }
  }
}

FixedColumns share_columns(int64_t columns, int64_t stride, int64_t dilation) {
  constexpr int64_t kMostColumns = 8;  // two quads, and four output pixels: what registers hold
  constexpr int64_t kMostOutputs = 4;
  if (dilation != 1 || columns > kMostColumns) return {0, 0};
  const int64_t quads = columns <= kQuad ? 1 : 2;
  const int64_t outputs = std::min(kMostOutputs, (kQuad * quads - columns) / stride + 1);
  return {static_cast<int>(quads), static_cast<int>(outputs)};
}

}  // namespace reluflow
