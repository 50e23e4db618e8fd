#include "fixed/pooling.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace reluflow {

namespace {

constexpr int64_t kRunPixels = 128;  // of a region that a thread takes at once, at least

}  // namespace

void max_pool(Runner& runner, const Kernels& kernels, const ConvSpec& windows,
              const ConvShape& shape, int64_t channels, const uint8_t* x, uint8_t* out,
              const Region* region) {
  const auto run = [&](const PixelRun at) {
    const int64_t line = at.image * shape.output[0] + at.row;
    uint8_t* to = out + (line * shape.output[1] + at.column) * channels;
    const int64_t top = at.row * windows.strides[0] - shape.begin[0];
    for (int64_t c = at.column; c < at.column + at.length; ++c, to += channels) {
      const int64_t left = c * windows.strides[1] - shape.begin[1];
      std::memset(to, 0, static_cast<size_t>(channels));
      for (int64_t i = 0; i < windows.kernel[0]; ++i) {
        const int64_t y = top + i * windows.dilations[0];
        if (y < 0 || y >= shape.input[0]) continue;
        const int64_t pixels = (at.image * shape.input[0] + y) * shape.input[1];
        for (int64_t j = 0; j < windows.kernel[1]; ++j) {
          const int64_t z = left + j * windows.dilations[1];
          if (z < 0 || z >= shape.input[1]) continue;
          kernels.fixed_max(x + (pixels + z) * channels, channels, to);
        }
      }
    }
  };
  if (region) return for_each_run(runner, *region, kRunPixels, run);
  const auto row = [&](size_t i) {
    const int64_t number = static_cast<int64_t>(i);
    run({number / shape.output[0], number % shape.output[0], 0, shape.output[1]});
  };
  parallel_for(runner, static_cast<size_t>(shape.batch * shape.output[0]), row);
}

void global_mean(Runner& runner, int64_t batch, int64_t pixels, int64_t channels,
                 FixedFormat format, const uint8_t* x, float* out) {
  const float scale = std::ldexp(1.0f, -format.exponent);
  const auto image = [&](size_t i) {
    std::vector<int64_t> sums(static_cast<size_t>(channels), -format.zero * pixels);
    const uint8_t* from = x + static_cast<int64_t>(i) * pixels * channels;
    for (int64_t p = 0; p < pixels; ++p, from += channels) {
      for (int64_t c = 0; c < channels; ++c) sums[static_cast<size_t>(c)] += from[c];
    }
    float* to = out + static_cast<int64_t>(i) * channels;
    for (int64_t c = 0; c < channels; ++c) {
      to[c] = static_cast<float>(sums[static_cast<size_t>(c)]) * scale / static_cast<float>(pixels);
    }
  };
  parallel_for(runner, static_cast<size_t>(batch), image);
}

}  // namespace reluflow
