#include "sums/per_product.h"

#include <algorithm>

#include "inputs/activations.h"

namespace reluflow {

namespace {

/// x . w' of one pair of a channel.
int64_t pair_product(const ProductRun& run, const ChannelDraw& draw, int64_t channel, int64_t pair,
                     int32_t x) {
  const LaneShape& shape = run.shape;
  const int64_t c = 2 * (pair / shape.taps);
  const int64_t first = channel * run.psb.weights_per_channel + pair % shape.taps;
  const int16_t low = static_cast<int16_t>(x & 0xffff);
  const int16_t high = static_cast<int16_t>(static_cast<uint32_t>(x) >> 16);
  int64_t sum = int64_t{low} * draw.weight(first + c * shape.taps);
  if (c + 1 < shape.group_inputs) {
    sum += int64_t{high} * draw.weight(first + (c + 1) * shape.taps);
  }
  return sum;
}

float finish(const ProductRun& run, int64_t channel, float sum, const float* z) {
  const Scale scale = channel_scale(run.emax[channel], run.precision, run.f);
  float y = sum * scale.a * scale.b;
  if (run.bias) y += run.bias[channel];
  if (z) y += *z;
  if (!run.psb.clips()) return y;
  y = y < run.psb.low() ? run.psb.low() : y;
  return y > run.psb.high() ? run.psb.high() : y;
}

}  // namespace

ProductRun product_run(const ConvRun& run, int f) {
  return {
      run.psb,
      run.weights.code(),
      run.precision,
      f,
      run.emax,
      run.bias,
      {run.conv.group, run.conv.outputs / run.conv.group, run.conv.group_inputs, run.conv.taps()}};
}

void position(const ProductRun& run, int64_t v, const int32_t* x, const int64_t* offsets,
              int64_t group_stride, const ProductOutput& out) {
  const Key key = at_position(make_key(run.precision.seed, run.psb.stream),
                              static_cast<uint32_t>(static_cast<uint64_t>(v)));
  const int64_t pairs = run.shape.pairs();
  for (int64_t m = 0; m < run.psb.channels; ++m) {
    const int32_t* from = x + m / run.shape.group_outputs * group_stride;
    const ChannelDraw draw(run.code, m, run.precision, key);
    float sum = 0.0f;
    for (int64_t begin = 0; begin < pairs; begin += kBlockPairs) {
      const int64_t end = std::min<int64_t>(pairs, begin + kBlockPairs);
      int64_t exact = 0;
      for (int64_t p = begin; p < end; ++p) {
        exact += pair_product(run, draw, m, p, from[offsets[p]]);
      }
      sum = begin == 0 ? static_cast<float>(exact) : sum + static_cast<float>(exact);
    }
    const int64_t at = m * out.stride;
    out.y[at] = finish(run, m, sum, out.z ? out.z + at : nullptr);
  }
}

}  // namespace reluflow
