#include "fixed/fixed_run.h"

#include <algorithm>
#include <cstring>

namespace reluflow {

GridUse grid_use(const ConvSpec& conv, const Kernels& kernels, const GridCode& code, int x_zero) {
  GridUse use;
  use.sums = x_zero != 0;
  if (!code.depthwise() || !kernels.fixed_arrange) return use;
  use.kernel_columns = conv.kernel[1];
  use.column_stride = conv.strides[1];
  use.columns = share_columns(conv.kernel[1], conv.strides[1], conv.dilations[1]);
  return use;
}

int64_t band_rows(const FixedConvRun& run, int64_t rows) {
  return (rows - 1) * run.conv.strides[0] + (run.conv.kernel[0] - 1) * run.conv.dilations[0] + 1;
}

namespace {

/// Copies `columns` pixels of row `row` of an image, from column `from` on.
void copy_row(const FixedConvRun& run, const BandLayout& l, int64_t image, int64_t row,
              int64_t from, int64_t columns, uint8_t* out) {
  const int64_t inputs = run.conv.inputs();
  const int64_t first = std::min(std::max<int64_t>(-from, 0), columns);
  const int64_t begin = std::max<int64_t>(from, 0);
  const int64_t count = std::max<int64_t>(0, std::min(columns - first, run.shape.input[1] - begin));
  if (row < 0 || row >= run.shape.input[0] || count == 0) {
    std::memset(out, run.formats.x.zero, static_cast<size_t>(columns * l.pixel));
    return;
  }
  std::memset(out, run.formats.x.zero, static_cast<size_t>(first * l.pixel));
  uint8_t* to = out + first * l.pixel;
  const uint8_t* x =
      run.x + ((image * run.shape.input[0] + row) * run.shape.input[1] + begin) * inputs;
  if (l.pixel == inputs) {
    std::memcpy(to, x, static_cast<size_t>(count * inputs));
    to += count * inputs;
  } else {
    // Bytes may alias anything: what the loops compare with is not read again in each.
    const int64_t kept = run.conv.group_inputs;
    const int64_t filled = l.group_bytes;
    const auto zero = static_cast<uint8_t>(run.formats.x.zero);
    for (int64_t g = 0; g < count * run.conv.group; ++g, x += kept) {
      for (int64_t c = 0; c < filled; ++c) *to++ = c < kept ? x[c] : zero;
    }
  }
  std::memset(to, run.formats.x.zero, static_cast<size_t>((columns - first - count) * l.pixel));
}

}  // namespace

void copy_band(const FixedConvRun& run, const BandLayout& l, int64_t image, int64_t begin,
               int64_t end, uint8_t* out) {
  const int64_t rows = band_rows(run, end - begin);
  const int64_t columns = l.row / l.pixel;
  const int64_t top = begin * l.step[0] - run.shape.begin[0];
  for (int64_t r = 0; r < rows; ++r, out += l.row) {
    copy_row(run, l, image, top + r, -run.shape.begin[1], columns, out);
  }
}

bool sees_no_padding(const FixedConvRun& run, const PixelRun& pixels) {
  const int64_t top = pixels.row * run.conv.strides[0] - run.shape.begin[0];
  const int64_t left = pixels.column * run.conv.strides[1] - run.shape.begin[1];
  const int64_t bottom = top + (run.conv.kernel[0] - 1) * run.conv.dilations[0];
  const int64_t right = left + (pixels.length - 1) * run.conv.strides[1] +
                        (run.conv.kernel[1] - 1) * run.conv.dilations[1];
  return top >= 0 && left >= 0 && bottom < run.shape.input[0] && right < run.shape.input[1];
}

void copy_run(const FixedConvRun& run, const BandLayout& l, const PixelRun& pixels, uint8_t* out) {
  const int64_t top = pixels.row * l.step[0] - run.shape.begin[0];
  const int64_t left = pixels.column * l.step[1] - run.shape.begin[1];
  const int64_t columns =
      (pixels.length - 1) * l.step[1] + (run.conv.kernel[1] - 1) * run.conv.dilations[1] + 1;
  for (int64_t i = 0; i < run.conv.kernel[0]; ++i, out += l.row) {
    copy_row(run, l, pixels.image, top + i * run.conv.dilations[0], left, columns, out);
  }
}

}  // namespace reluflow
