#include "shorts/pooling16.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace reluflow {

namespace {

constexpr int64_t kPiece = 256;  // pixels of a region that a thread takes at once, at least

struct MaxPool {
  const Kernels& kernels;
  const ConvSpec& windows;
  const ConvShape& shape;
  int64_t channels;
  const int16_t* x;
  int16_t* out;

  /// The output pixels of a run of a row.
  void pool(const PixelRun& at, std::vector<const int16_t*>& taps) const {
    const int64_t pixel = (at.image * shape.output[0] + at.row) * shape.output[1] + at.column;
    int16_t* to = out + pixel * channels;
    for (int64_t c = at.column; c < at.column + at.length; ++c, to += channels) {
      const int64_t count = place(at.image, at.row, c, taps.data());
      if (count == 0) {
        std::fill(to, to + channels, std::numeric_limits<int16_t>::min());
      } else {
        kernels.fixed16_max(taps.data(), count, channels, to);
      }
    }
  }

  /// Where the pixels of a window lie that are inside the image, and their number.
  int64_t place(int64_t image, int64_t r, int64_t c, const int16_t** taps) const {
    int64_t count = 0;
    for (int64_t i = 0; i < windows.kernel[0]; ++i) {
      const int64_t y = r * windows.strides[0] + i * windows.dilations[0] - shape.begin[0];
      if (y < 0 || y >= shape.input[0]) continue;
      const int16_t* from = x + (image * shape.input[0] + y) * shape.input[1] * channels;
      for (int64_t j = 0; j < windows.kernel[1]; ++j) {
        const int64_t z = c * windows.strides[1] + j * windows.dilations[1] - shape.begin[1];
        if (z < 0 || z >= shape.input[1]) continue;
        taps[count++] = from + z * channels;
      }
    }
    return count;
  }

  std::vector<const int16_t*> taps() const {
    return std::vector<const int16_t*>(static_cast<size_t>(windows.taps()));
  }
};

}  // namespace

void max_pool16(Runner& runner, const Kernels& kernels, const ConvSpec& windows,
                const ConvShape& shape, const Region* region, int64_t channels, const int16_t* x,
                int16_t* out) {
  const MaxPool pooling{kernels, windows, shape, channels, x, out};
  if (region) {
    for_each_run(runner, *region, kPiece, [&](const PixelRun& run) {
      std::vector<const int16_t*> taps = pooling.taps();
      pooling.pool(run, taps);
    });
    return;
  }
  parallel_for(runner, static_cast<size_t>(shape.batch * shape.output[0]), [&](size_t i) {
    const int64_t row = static_cast<int64_t>(i);
    std::vector<const int16_t*> taps = pooling.taps();
    pooling.pool({row / shape.output[0], row % shape.output[0], 0, shape.output[1]}, taps);
  });
}

void global_mean16(Runner& runner, int64_t batch, int64_t pixels, int64_t channels, int exponent,
                   const int16_t* x, float* out) {
  const float scale = std::ldexp(1.0f, -exponent);
  const auto image = [&](size_t i) {
    std::vector<int64_t> sums(static_cast<size_t>(channels), 0);
    const int16_t* from = x + static_cast<int64_t>(i) * pixels * channels;
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
