#include "bytes/resize.h"

#include <algorithm>
#include <vector>

namespace reluflow {

namespace {

constexpr int64_t kOne = 1 << kMixBits;  // a weight of 1 along an axis
constexpr int64_t kRunPixels = 256;      // of a region that a thread takes at once, at least

/// The two input pixels of an output pixel along an axis, and the second's weight.
struct Neighbours {
  int64_t first;
  int64_t second;
  int64_t weight;
};

Neighbours neighbours_of(int64_t i, int64_t n, int64_t m, Coordinates coordinates) {
  int64_t place = (2 * i + 1) * n - m;
  int64_t unit = 2 * m;
  if (coordinates == Coordinates::kAlignCorners) {
    place = i * (n - 1);
    unit = std::max<int64_t>(m - 1, 1);
  } else if (coordinates == Coordinates::kAsymmetric) {
    place = i * n;
    unit = m;
  } else if (coordinates == Coordinates::kPytorchHalfPixel && m == 1) {
    place = 0;
  }
  place = std::min(std::max<int64_t>(place, 0), (n - 1) * unit);
  const int64_t first = place / unit;
  const int64_t rest = place % unit;
  return {first, std::min(first + 1, n - 1), (rest * 2 * kOne + unit) / (2 * unit)};
}

template <class Value>
void resize(Runner& runner, void (*mix)(const MixArgs<Value>&), const Resizing& s, const Value* x,
            Value* out, const Region* region) {
  std::vector<Neighbours> columns;
  columns.reserve(static_cast<size_t>(s.output[1]));
  for (int64_t i = 0; i < s.output[1]; ++i) {
    columns.push_back(neighbours_of(i, s.input[1], s.output[1], s.coordinates));
  }
  const auto run = [&](const PixelRun at) {
    const Neighbours rows = neighbours_of(at.row, s.input[0], s.output[0], s.coordinates);
    const int64_t line = s.input[1] * s.channels;
    const Value* near = x + (at.image * s.input[0] + rows.first) * line;
    const Value* far = x + (at.image * s.input[0] + rows.second) * line;
    const int64_t line_of_output = at.image * s.output[0] + at.row;
    Value* to = out + (line_of_output * s.output[1] + at.column) * s.channels;
    const Neighbours* const end = columns.data() + at.column + at.length;
    for (const Neighbours* c = end - at.length; c != end; ++c) {
      const int64_t first = c->first * s.channels;
      const int64_t second = c->second * s.channels;
      MixArgs<Value> args{
          {near + first, near + second, far + first, far + second}, {}, s.channels, to};
      const int64_t row_weights[2] = {kOne - rows.weight, rows.weight};
      const int64_t column_weights[2] = {kOne - c->weight, c->weight};
      for (int k = 0; k < 4; ++k) {
        args.weights[k] = static_cast<int16_t>(row_weights[k / 2] * column_weights[k % 2]);
      }
      mix(args);
      to += s.channels;
    }
  };
  if (region) return for_each_run(runner, *region, kRunPixels, run);
  const auto row = [&](size_t item) {
    const int64_t number = static_cast<int64_t>(item);
    run({number / s.output[0], number % s.output[0], 0, s.output[1]});
  };
  parallel_for(runner, static_cast<size_t>(s.batch * s.output[0]), row);
}

}  // namespace

void resize_bytes(Runner& runner, const Kernels& kernels, const Resizing& sizes, const uint8_t* x,
                  uint8_t* out, const Region* region) {
  resize(runner, kernels.bytes_mix, sizes, x, out, region);
}

void resize_shorts(Runner& runner, const Kernels& kernels, const Resizing& sizes, const int16_t* x,
                   int16_t* out, const Region* region) {
  resize(runner, kernels.shorts_mix, sizes, x, out, region);
}

}  // namespace reluflow
