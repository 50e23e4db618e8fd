#include "bytes/averages.h"

#include <algorithm>

namespace reluflow {

namespace {

constexpr int64_t kBlock = 256;           // channels summed at a time
constexpr int64_t kMostPixels = 1 << 20;  // of a window whose sums int32 and double hold exactly
constexpr int64_t kRunPixels = 64;        // of a region that a thread takes at once, at least
constexpr int kMostOctaves = 20;          // between the formats of x and y

/// What the mean of `inside` pixels, divided by `count`, needs beside their sum.
struct Window {
  int64_t inside;
  int64_t count;
  int octaves;
  FixedFormat x;
  ByteOutput y;
};

/// 2^max(k, 0), of a sum; 2^max(-k, 0), of a count.
int64_t sum_scale(const Window& w) { return int64_t{1} << std::max(w.octaves, 0); }
int64_t count_scale(const Window& w) { return int64_t{1} << std::max(-w.octaves, 0); }

ByteMean mean_of(const Window& w) {
  const int64_t whole = w.count * count_scale(w);
  const int64_t twice = 2 * sum_scale(w);
  const int64_t add = -w.inside * w.x.zero * twice + whole + 2 * whole * kMeanOffset;
  return {static_cast<double>(twice),
          static_cast<double>(add),
          static_cast<double>(2 * whole),
          w.y.format.zero,
          w.y.low,
          w.y.high};
}

uint8_t exact_byte(int64_t sum, const Window& w) {
  const int64_t whole = w.count * count_scale(w);
  const int64_t twice = (sum - w.inside * w.x.zero) * 2 * sum_scale(w) + whole;
  int64_t y = twice / (2 * whole);
  if (y * 2 * whole > twice) --y;  // towards minus infinity
  y = std::min<int64_t>(std::max<int64_t>(y + w.y.format.zero, w.y.low), w.y.high);
  return static_cast<uint8_t>(y);
}

/// Means of `n` channels, at most kBlock; `each(f)` calls f with every pixel's first channel.
template <class Each>
void average_block(const Kernels& kernels, const Window& w, int64_t n, Each&& each, uint8_t* out) {
  if (w.count <= kMostPixels) {
    alignas(64) int32_t sums[kBlock] = {};
    each([&](const uint8_t* x) { kernels.bytes_sum(x, n, sums); });
    kernels.bytes_mean(sums, n, mean_of(w), out);
    return;
  }
  int64_t sums[kBlock] = {};
  each([&](const uint8_t* x) {
    for (int64_t c = 0; c < n; ++c) sums[c] += x[c];
  });
  for (int64_t c = 0; c < n; ++c) out[c] = exact_byte(sums[c], w);
}

int octaves_between(FixedFormat x, FixedFormat y) {
  return std::min(std::max(y.exponent - x.exponent, -kMostOctaves), kMostOctaves);
}

/// Taps of a window that begins at `begin` whose pixels are among `size`: [first, last).
struct Span {
  int64_t first;
  int64_t last;
};

Span inside_span(int64_t begin, int64_t taps, int64_t step, int64_t size) {
  const int64_t first = begin < 0 ? (-begin + step - 1) / step : 0;
  const int64_t last = begin < size ? (size - 1 - begin) / step + 1 : 0;
  return {std::min(first, taps), std::max(std::min(last, taps), std::min(first, taps))};
}

}  // namespace

void average_pool(Runner& runner, const Kernels& kernels, const ConvSpec& windows,
                  const ConvShape& shape, int64_t channels, bool counts_padding, const uint8_t* x,
                  FixedFormat x_format, const ByteOutput& y, uint8_t* out, const Region* region) {
  const int octaves = octaves_between(x_format, y.format);
  const auto run = [&](const PixelRun at) {
    const int64_t top = at.row * windows.strides[0] - shape.begin[0];
    const Span rows = inside_span(top, windows.kernel[0], windows.dilations[0], shape.input[0]);
    uint8_t* to = out + (at.image * shape.output[0] + at.row) * shape.output[1] * channels;
    for (int64_t o = at.column; o < at.column + at.length; ++o) {
      const int64_t left = o * windows.strides[1] - shape.begin[1];
      const Span columns =
          inside_span(left, windows.kernel[1], windows.dilations[1], shape.input[1]);
      const int64_t inside = (rows.last - rows.first) * (columns.last - columns.first);
      const int64_t count = counts_padding ? windows.taps() : std::max<int64_t>(inside, 1);
      const Window window{inside, count, octaves, x_format, y};
      for (int64_t c = 0; c < channels; c += kBlock) {
        const auto each = [&](auto&& f) {
          for (int64_t r = rows.first; r < rows.last; ++r) {
            const int64_t line = at.image * shape.input[0] + top + r * windows.dilations[0];
            for (int64_t q = columns.first; q < columns.last; ++q) {
              const int64_t pixel = line * shape.input[1] + left + q * windows.dilations[1];
              f(x + pixel * channels + c);
            }
          }
        };
        const int64_t n = std::min(kBlock, channels - c);
        average_block(kernels, window, n, each, to + o * channels + c);
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

void global_average(Runner& runner, const Kernels& kernels, int64_t batch, int64_t pixels,
                    int64_t channels, const uint8_t* x, FixedFormat x_format, const ByteOutput& y,
                    uint8_t* out) {
  const Window window{pixels, std::max<int64_t>(pixels, 1), octaves_between(x_format, y.format),
                      x_format, y};
  const int64_t blocks = (channels + kBlock - 1) / kBlock;
  const auto block = [&](size_t i) {
    const int64_t image = static_cast<int64_t>(i) / blocks;
    const int64_t c = static_cast<int64_t>(i) % blocks * kBlock;
    const uint8_t* first = x + image * pixels * channels + c;
    const auto each = [&](auto&& f) {
      for (int64_t p = 0; p < pixels; ++p) f(first + p * channels);
    };
    const int64_t n = std::min(kBlock, channels - c);
    average_block(kernels, window, n, each, out + image * channels + c);
  };
  parallel_for(runner, static_cast<size_t>(batch * blocks), block);
}

}  // namespace reluflow
