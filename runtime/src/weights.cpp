#include "weights.h"

namespace reluflow {

namespace {

/// Whether a whole channel's sum fits int32, so that the depthwise kernel may be used.
bool depthwise_is_safe(const WeightCode& code, const PsbSpec& spec, const LaneShape& shape) {
  if (shape.group_inputs != 1 || shape.taps > kBlockPairs || shape.group_outputs > 4) return false;
  for (int64_t m = 0; m < spec.channels; ++m) {
    if (safe_sub_pairs(code, m, shape, spec.limit()) != kBlockPairs) return false;
  }
  return true;
}

void draw_in_order(Runner& runner, const WeightCode& code, const Precision& precision, Key key,
                   int16_t* out) {
  const size_t channels = code.p16.size() / static_cast<size_t>(code.per_channel);
  const Split split(channels, code.p16.size() / 1024 + 1);
  auto work = [&](size_t item) {
    for (size_t m = split.begin(item); m < split.end(item); ++m) {
      const int64_t channel = static_cast<int64_t>(m);
      const ChannelDraw draw(code, channel, precision, key);
      const int64_t end = (channel + 1) * code.per_channel;
      for (int64_t i = channel * code.per_channel; i < end; ++i) {
        out[i] = static_cast<int16_t>(draw.weight(i));
      }
    }
  };
  parallel_for(runner, split.pieces, work);
}

}  // namespace

Status Weights::make(const uint8_t* planes, const PsbSpec& spec, const LaneShape& shape,
                     bool depthwise_allowed, std::unique_ptr<Weights>* out) {
  auto made = std::make_unique<Weights>();
  RELUFLOW_RETURN_IF_BAD(unpack_planes(planes, spec, &made->code_));
  if (spec.per_product) {
    made->path_ = Path::kPerProduct;
  } else if (depthwise_allowed && depthwise_is_safe(made->code_, spec, shape)) {
    made->path_ = Path::kDepthwise;
  } else {
    made->lanes_ = LaneCode(made->code_, spec, shape);
    made->code_ = WeightCode();
  }
  *out = std::move(made);
  return {};
}

WeightCache::Lease Weights::sample(Runner& runner, const Kernels& kernels, const PsbSpec& spec,
                                   const Precision& precision) {
  if (auto kept = cache_.find(precision)) return kept;
  const bool tiles = path_ == Path::kTiles;
  auto set = cache_.take(tiles ? lanes_.sampled_size() : static_cast<int64_t>(code_.p16.size()));
  set->precision = precision;
  const Key key = make_key(precision.seed, spec.stream);
  if (tiles) {
    lanes_.draw(runner, kernels, precision, key, set->weights.data());
  } else {
    draw_in_order(runner, code_, precision, key, set->weights.data());
  }
  return cache_.put(std::move(set));
}

}  // namespace reluflow
