#include "packed_input.h"

#include <algorithm>
#include <cstring>

#include "activations.h"

namespace reluflow {

namespace {

/// The packed columns [begin, end) that lie on input columns, and the first of these.
struct Columns {
  int64_t begin;
  int64_t end;
  int64_t input;
};

Columns inner_columns(const ConvShape& shape) {
  const int64_t step = shape.pack_step[1];
  const int64_t pad = shape.begin[1];
  const int64_t begin = std::min((pad + step - 1) / step, shape.packed[1]);
  const int64_t last = (shape.input[1] + pad + step - 1) / step;
  return {begin, std::max(begin, std::min(last, shape.packed[1])), begin * step - pad};
}

struct Packing {
  const Kernels& kernels;
  const PackedLayout& layout;
  Columns columns;
  float scale;
  float limit;

  /// One row of one channel pair of an image.
  void row(const float* image, int64_t plane, int64_t row, int32_t* out) const {
    const ConvShape& shape = layout.shape;
    const int64_t width = shape.packed[1];
    const int64_t in_row = row * shape.pack_step[0] - shape.begin[0];
    if (in_row < 0 || in_row >= shape.input[0]) {
      std::memset(out, 0, sizeof(int32_t) * static_cast<size_t>(width));
      return;
    }
    const int64_t group = plane / layout.group_pairs();
    const int64_t within = plane % layout.group_pairs() * 2;
    const int64_t channel = group * layout.conv.group_inputs + within;
    const int64_t size = shape.input[0] * shape.input[1];
    const float* a = image + channel * size + in_row * shape.input[1] + columns.input;
    const float* b = within + 1 < layout.conv.group_inputs ? a + size : nullptr;
    for (int64_t c = 0; c < columns.begin; ++c) out[c] = 0;
    if (columns.end > columns.begin) {
      kernels.pack_row(a, b, columns.end - columns.begin, shape.pack_step[1], scale, limit,
                       out + columns.begin);
    }
    for (int64_t c = columns.end; c < width; ++c) out[c] = 0;
  }
};

}  // namespace

std::vector<int64_t> PackedLayout::pair_offsets() const {
  std::vector<int64_t> offsets;
  offsets.reserve(static_cast<size_t>(group_pairs() * conv.taps()));
  for (int64_t c = 0; c < group_pairs(); ++c) {
    for (int64_t ky = 0; ky < conv.kernel[0]; ++ky) {
      for (int64_t kx = 0; kx < conv.kernel[1]; ++kx) {
        offsets.push_back((c * shape.packed[0] + ky * conv.dilations[0]) * shape.packed[1] +
                          kx * conv.dilations[1]);
      }
    }
  }
  return offsets;
}

void pack_images(Runner& runner, const Kernels& kernels, const PackedLayout& layout, const float* x,
                 int64_t first, int64_t count, int f, int limit, int32_t* out) {
  const ConvShape& shape = layout.shape;
  const Packing packing{kernels, layout, inner_columns(shape), power_of_two(f),
                        static_cast<float>(limit)};
  const int64_t image_size = layout.conv.inputs() * shape.input[0] * shape.input[1];
  const int64_t rows = count * layout.planes() * shape.packed[0];
  const Split split(static_cast<size_t>(rows),
                    static_cast<size_t>(rows * shape.packed[1] / 8192 + 1));
  auto work = [&](size_t item) {
    for (size_t r = split.begin(item); r < split.end(item); ++r) {
      const int64_t at = static_cast<int64_t>(r);
      const int64_t plane = at / shape.packed[0];
      const float* image = x + (first + plane / layout.planes()) * image_size;
      packing.row(image, plane % layout.planes(), at % shape.packed[0], out + at * shape.packed[1]);
    }
  };
  parallel_for(runner, split.pieces, work);
}

}  // namespace reluflow
