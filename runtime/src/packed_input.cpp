#include "packed_input.h"

#include <algorithm>
#include <cstring>

#include "activations.h"

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
  begin_ = std::min((pad + step - 1) / step, shape.packed[1]);
  end_ = std::max(begin_, std::min((shape.input[1] + pad + step - 1) / step, shape.packed[1]));
  input_ = begin_ * step - pad;
}

void RowPacker::row(const float* image, int64_t plane, int64_t row, int32_t* out) const {
  const ConvShape& shape = layout_.shape;
  const int64_t width = shape.packed[1];
  const int64_t in_row = row * shape.pack_step[0] - shape.begin[0];
  if (in_row < 0 || in_row >= shape.input[0]) {
    std::memset(out, 0, sizeof(int32_t) * static_cast<size_t>(width));
    return;
  }
  const int64_t group = plane / layout_.group_pairs();
  const int64_t within = plane % layout_.group_pairs() * 2;
  const int64_t channel = group * layout_.conv.group_inputs + within;
  const int64_t size = shape.input[0] * shape.input[1];
  for (int64_t c = 0; c < begin_; ++c) out[c] = 0;
  if (end_ > begin_) {
    const float* a = image + channel * size + in_row * shape.input[1] + input_;
    const float* b = within + 1 < layout_.conv.group_inputs ? a + size : nullptr;
    kernels_.pack_row(a, b, end_ - begin_, shape.pack_step[1], scale_, limit_, out + begin_);
  }
  for (int64_t c = end_; c < width; ++c) out[c] = 0;
  if (neighbour_ == 0 || within + 1 < layout_.conv.group_inputs) return;
  // Only low halves are read, and these stay.
  for (int64_t c = 0; c + neighbour_ < width; ++c) {
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
        offsets.push_back((c * shape.packed[0] + ky * conv.dilations[0]) * shape.packed[1] +
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

void pack_images(Runner& runner, const Kernels& kernels, const PackedLayout& layout, const float* x,
                 int64_t first, int64_t count, int f, int limit, int64_t neighbour, int32_t* out) {
  const ConvShape& shape = layout.shape;
  const RowPacker packer(kernels, layout, f, limit, neighbour);
  const int64_t image_size = layout.conv.inputs() * shape.input[0] * shape.input[1];
  const int64_t rows = count * layout.planes() * shape.packed[0];
  const Split split(static_cast<size_t>(rows),
                    static_cast<size_t>(rows * shape.packed[1] / 8192 + 1));
  auto work = [&](size_t item) {
    for (size_t r = split.begin(item); r < split.end(item); ++r) {
      const int64_t at = static_cast<int64_t>(r);
      const int64_t plane = at / shape.packed[0];
      const float* image = x + (first + plane / layout.planes()) * image_size;
      packer.row(image, plane % layout.planes(), at % shape.packed[0], out + at * shape.packed[1]);
    }
  };
  parallel_for(runner, split.pieces, work);
}

}  // namespace reluflow
