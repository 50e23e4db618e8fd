#include "inputs/packed_input.h"

#include <algorithm>
#include <cstring>

#include "inputs/activations.h"

namespace reluflow {

RowPacker::RowPacker(const Kernels& kernels, const PackedLayout& layout, int f, int limit,
                     int64_t neighbour)
    : kernels_(kernels),
      layout_(layout),
      scale_(power_of_two(f)),
      limit_(static_cast<float>(limit)),
      neighbour_(neighbour) {
  const ConvShape& shape = layout.shape;
  const int64_t step = shape.pack_step[1];
  const int64_t pad = shape.begin[1];
  begin_ = std::min(std::max<int64_t>(0, (pad + step - 1) / step), shape.packed[1]);
  end_ = std::max(begin_, std::min((shape.input[1] + pad + step - 1) / step, shape.packed[1]));
  input_ = begin_ * step - pad;
}

int64_t spread(int64_t pixels) {
  // Words of a cache line. An odd number of lines, as planes a power of two apart would all fall
  // into the same few sets of the cache, and a window reads the same pixel of every plane.
  constexpr int64_t kLine = 16;
  const int64_t lines = (pixels + kLine - 1) / kLine;
  return (lines | 1) * kLine;
}

RowPacker::Plane RowPacker::plane(const float* image, int64_t plane) const {
  const ConvShape& shape = layout_.shape;
  const int64_t group = plane / layout_.group_pairs();
  const int64_t within = plane % layout_.group_pairs() * 2;
  const int64_t channel = group * layout_.conv.group_inputs + within;
  const int64_t size = shape.input[0] * shape.input[1];
  const float* low = image + channel * size;
  return {low, within + 1 < layout_.conv.group_inputs ? low + size : nullptr};
}

void RowPacker::row(const Plane& plane, int64_t row, int64_t first, int64_t count,
                    int32_t* out) const {
  const ConvShape& shape = layout_.shape;
  const int64_t in_row = row * shape.pack_step[0] - shape.begin[0];
  if (in_row < 0 || in_row >= shape.input[0]) {
    std::memset(out, 0, sizeof(int32_t) * static_cast<size_t>(count));
    return;
  }
  const int64_t begin = std::clamp(begin_ - first, int64_t{0}, count);
  const int64_t end = std::clamp(end_ - first, begin, count);
  for (int64_t c = 0; c < begin; ++c) out[c] = 0;
  if (end > begin) {
    const int64_t at =
        in_row * shape.input[1] + input_ + (first + begin - begin_) * shape.pack_step[1];
    kernels_.pack_row(plane.low + at, plane.high ? plane.high + at : nullptr, end - begin,
                      shape.pack_step[1], scale_, limit_, out + begin);
  }
  for (int64_t c = end; c < count; ++c) out[c] = 0;
  if (neighbour_ == 0 || plane.high) return;
  // Only low halves are read, and these stay.
  for (int64_t c = 0; c + neighbour_ < count; ++c) {
    const uint32_t high = static_cast<uint32_t>(out[c + neighbour_]) << 16;
    out[c] = static_cast<int32_t>((static_cast<uint32_t>(out[c]) & 0xffffu) | high);
  }
}

std::vector<int64_t> PackedLayout::pair_offsets() const {
  std::vector<int64_t> offsets;
  offsets.reserve(static_cast<size_t>(group_pairs() * conv.taps()));
  for (int64_t c = 0; c < group_pairs(); ++c) {
    for (int64_t ky = 0; ky < conv.kernel[0]; ++ky) {
      for (int64_t kx = 0; kx < conv.kernel[1]; ++kx) {
        offsets.push_back(c * plane_stride + ky * conv.dilations[0] * shape.packed[1] +
                          kx * conv.dilations[1]);
      }
    }
  }
  return offsets;
}

std::vector<int64_t> PackedLayout::word_offsets(const PairOrder& order) const {
  const std::vector<int64_t> all = pair_offsets();
  std::vector<int64_t> offsets;
  offsets.reserve(order.pairs.size());
  for (const WeightPair& pair : order.pairs) {
    const int64_t channel = pair.low / conv.taps();
    offsets.push_back(all[static_cast<size_t>(channel / 2 * conv.taps() + pair.low % conv.taps())]);
  }
  return offsets;
}

void pack_image(Runner& runner, const Kernels& kernels, const PackedLayout& layout, const float* x,
                int64_t number, int f, int limit, int32_t* out) {
  const ConvShape& shape = layout.shape;
  const RowPacker packer(kernels, layout, f, limit, 0);
  const float* image = x + number * layout.conv.inputs() * shape.input[0] * shape.input[1];
  const int64_t rows = layout.planes() * shape.packed[0];
  const Split split(static_cast<size_t>(rows),
                    static_cast<size_t>(rows * shape.packed[1]) / kWordsPerItem + 1);
  auto work = [&](size_t item) {
    for (size_t r = split.begin(item); r < split.end(item); ++r) {
      const int64_t plane = static_cast<int64_t>(r) / shape.packed[0];
      const int64_t row = static_cast<int64_t>(r) % shape.packed[0];
      packer.row(packer.plane(image, plane), row, 0, shape.packed[1],
                 out + plane * layout.plane_stride + row * shape.packed[1]);
    }
  };
  parallel_for(runner, split.pieces, work);
}

}  // namespace reluflow
