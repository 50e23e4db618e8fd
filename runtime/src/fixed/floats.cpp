#include "fixed/floats.h"

#include <algorithm>
#include <cstring>

namespace reluflow {

namespace {

constexpr int kLeastPower = -126;  // of two, as a normal float
constexpr int kMostPower = 127;
constexpr int64_t kRunPixels = 64;  // of a region that a thread takes at once, at least

float power_of_two(int exponent) {
  const int kept = std::min(std::max(exponent, kLeastPower), kMostPower);
  const uint32_t bits = static_cast<uint32_t>(kept + kMostPower) << 23;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// The sums of one window of a block of depthwise channels.
void sum_window(const FixedConvRun& run, size_t number, int64_t image, int64_t row, int64_t column,
                int32_t* sums) {
  const OutputBlock& block = run.code.blocks()[number];
  const int8_t* w = run.set->weights.data() + block.weights;
  std::fill(sums, sums + kTileLanes, 0);
  for (int64_t t = 0; t < run.conv.taps(); ++t, w += kTileLanes) {
    const int64_t y = row * run.conv.strides[0] + t / run.conv.kernel[1] * run.conv.dilations[0] -
                      run.shape.begin[0];
    const int64_t x = column * run.conv.strides[1] +
                      t % run.conv.kernel[1] * run.conv.dilations[1] - run.shape.begin[1];
    const bool inside = y >= 0 && x >= 0 && y < run.shape.input[0] && x < run.shape.input[1];
    const int64_t pixel = (image * run.shape.input[0] + y) * run.shape.input[1] + x;
    const uint8_t* from = inside ? run.x + pixel * run.conv.inputs() + block.first : nullptr;
    for (int lane = 0; lane < block.lanes; ++lane) {
      sums[lane] += (from ? from[lane] : run.formats.x.zero) * w[lane];
    }
  }
}

}  // namespace

FloatScale float_scale(const FixedConvRun& run, const OutputBlock& block) {
  FloatScale made{};
  for (int lane = 0; lane < block.lanes; ++lane) {
    const int64_t channel = block.first + lane;
    made.scale[lane] = power_of_two(run.floats.emax[channel] - kGridBits - run.formats.x.exponent);
    made.bias[lane] = run.floats.bias ? run.floats.bias[channel] : 0.0f;
  }
  return made;
}

void store_floats(const FixedConvRun& run, const OutputBlock& block, const FloatScale& scale,
                  const FixedStore& store, const FixedPixels& pixels, const int32_t* sums) {
  const int64_t plane = run.shape.pixels();
  const int64_t outputs = run.conv.outputs;
  const int64_t pixel_step = run.floats.rows ? outputs : 1;
  const int64_t lane_step = run.floats.rows ? 1 : plane;
  float* y = run.floats.y + pixels.image * plane * outputs + pixels.first * pixel_step +
             block.first * lane_step;
  for (int p = 0; p < pixels.count; ++p, sums += kTileLanes, y += pixel_step) {
    for (int lane = 0; lane < block.lanes; ++lane) {
      y[lane * lane_step] =
          static_cast<float>(sums[lane] + store.add[lane]) * scale.scale[lane] + scale.bias[lane];
    }
  }
}

Status run_float_depthwise(Runner& runner, const FixedConvRun& run) {
  const auto pixels = [&](const PixelRun at) {
    for (size_t b = 0; b < run.code.blocks().size(); ++b) {
      const OutputBlock& block = run.code.blocks()[b];
      const FloatScale scale = float_scale(run, block);
      for (int64_t c = at.column; c < at.column + at.length; ++c) {
        int32_t sums[kTileLanes];
        sum_window(run, b, at.image, at.row, c, sums);
        const FixedPixels pixel{nullptr, at.image, at.row * run.shape.output[1] + c, 1};
        store_floats(run, block, scale, run.stores.of(b), pixel, sums);
      }
    }
  };
  if (run.region) {
    for_each_run(runner, *run.region, kRunPixels, pixels);
    return {};
  }
  const auto row = [&](size_t item) {
    const int64_t number = static_cast<int64_t>(item);
    const int64_t height = run.shape.output[0];
    pixels({number / height, number % height, 0, run.shape.output[1]});
  };
  parallel_for(runner, static_cast<size_t>(run.shape.batch * run.shape.output[0]), row);
  return {};
}

}  // namespace reluflow
