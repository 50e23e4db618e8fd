#include "grid/grid_weights.h"

#include <algorithm>
#include <atomic>
#include <string>

namespace reluflow {

size_t arranged_bytes(const GridUse& use, int64_t taps) {
  return static_cast<size_t>(taps / use.kernel_columns * use.columns.outputs * use.columns.quads *
                             kQuad * kTileLanes);
}

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
  made->code_ = GridCode(code, spec, shape);
  if (made->code_.most_sum() >= int64_t{1} << 29) {
    return Status("the weights of a channel add up to as much as " +
                  std::to_string(made->code_.most_sum()) +
                  " with bytes, but less than 2^29 is wanted; convert the model with more bits for "
                  "its activations.");
  }
  *out = std::move(made);
  return {};
}

bool GridWeights::repeats(const Precision& precision) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool same = before_ && *before_ == precision;
  before_ = precision;
  return same;
}

GridWeights::Lease GridWeights::sample(Runner& runner, const Kernels& kernels, const PsbSpec& spec,
                                       const Precision& precision, const GridUse& use) {
  if (auto kept = find(precision)) return kept;
  return draw(runner, kernels, spec, precision, use);
}

GridWeights::Lease GridWeights::draw(Runner& runner, const Kernels& kernels, const PsbSpec& spec,
                                     const Precision& precision, const GridUse& use) {
  static std::atomic<uint64_t> draws{0};
  auto set = cache_.take(code_.size());
  set->precision = precision;
  set->number = ++draws;
  const size_t blocks = code_.blocks().size();
  if (use.sums) set->sums.resize(blocks * kTileLanes);
  if (use.columns.quads > 0 && set->arranged.size() == 0) {
    set->arranged = Aligned<int8_t>(blocks * arranged_bytes(use, code_.quads()));
  }
  const GridDraw draw(code_, kernels, precision, make_key(precision.seed, spec.stream));
  const auto work = [&](size_t number) {
    const OutputBlock& block = code_.blocks()[number];
    int8_t* w = set->weights.data() + block.weights;
    draw(block, w);
    if (use.sums) code_.add_up(kernels, block, w, set->sums.data() + number * kTileLanes);
    if (use.columns.quads > 0) arrange(kernels, use, number, set.get());
  };
  parallel_for(runner, blocks, work);
  return cache_.put(std::move(set));
}

void GridWeights::arrange(const Kernels& kernels, const GridUse& use, size_t block,
                          GridSet* set) const {
  FixedArrangeArgs args{};
  args.taps = set->weights.data() + code_.blocks()[block].weights;
  args.kernel_rows = static_cast<int>(code_.quads() / use.kernel_columns);
  args.kernel_columns = static_cast<int>(use.kernel_columns);
  args.stride = static_cast<int>(use.column_stride);
  args.columns = use.columns;
  args.out = set->arranged.data() + block * arranged_bytes(use, code_.quads());
  kernels.fixed_arrange(args);
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
