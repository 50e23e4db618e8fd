#include "weights/weights.h"

#include "weights/exact_runs.h"

namespace reluflow {

namespace {

/// Outputs of one channel that the depthwise kernel is used for: it loads the pixels anew for each,
/// which tiles do once for up to 64. A choice, not measured.
constexpr int64_t kMostOutputs = 4;

bool depthwise_fits(const LaneShape& shape) {
  return !shape.depthwise.pairs.empty() && shape.taps <= kBlockPairs &&
         shape.group_outputs <= kMostOutputs;
}

}  // namespace

Status Weights::make(const uint8_t* planes, const PsbSpec& spec, const LaneShape& shape,
                     std::unique_ptr<Weights>* out) {
  auto made = std::make_unique<Weights>();
  RELUFLOW_RETURN_IF_BAD(unpack_planes(planes, spec, &made->code_));
  if (spec.per_product) {
    made->path_ = Path::kPerProduct;
  } else if (depthwise_fits(shape)) {
    // Lanes are channels here too, whatever their group: only the drawing needs them.
    made->path_ = Path::kDepthwise;
    made->lanes_ = LaneCode(made->code_, spec, {1, spec.channels, 1, shape.taps, shape.depthwise});
    for (int64_t m = 0; m < spec.channels; ++m) {
      made->channel_runs_.push_back(
          row_runs(made->code_, shape.depthwise, m, {spec.limit(), true}));
    }
  } else {
    made->lanes_ = LaneCode(made->code_, spec, shape);
  }
  if (made->path_ != Path::kPerProduct) made->code_ = WeightCode();
  *out = std::move(made);
  return {};
}

WeightCache::Lease Weights::sample(Runner& runner, const Kernels& kernels, const PsbSpec& spec,
                                   const Precision& precision) {
  if (auto kept = cache_.find(precision)) return kept;
  auto set = take(precision);
  lanes_.draw(runner, kernels, precision, make_key(precision.seed, spec.stream),
              set->weights.data());
  return keep(std::move(set));
}

std::shared_ptr<WeightSet> Weights::take(const Precision& precision) {
  auto set = cache_.take(lanes_.sampled_size());
  set->precision = precision;
  return set;
}

}  // namespace reluflow
