#include "fixed/fixed_run.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace reluflow {

namespace {

constexpr int kMostShift = 21;      // of a sum to its byte
constexpr int kMostZShift = 20;     // of a byte of z to its sum
constexpr int64_t kMost = 1 << 29;  // of a sum, and of a bias in its unit

}  // namespace

void make_store(const FixedConvRun& run, const OutputBlock& block, FixedStore* out) {
  std::memset(out, 0, sizeof *out);
  out->low = run.low;
  out->high = run.high;
  const int scale = kGridBits + run.x_format.exponent;
  for (int lane = 0; lane < block.lanes; ++lane) {
    const int8_t emax = run.emax[block.first + lane];
    // The unit of the sum, 2^(unit - scale): that of the products where both shifts are in bounds.
    int unit = std::max<int>(emax, scale - run.y_format.exponent - kMostShift);
    if (run.z) unit = std::max(unit, scale - run.z_format.exponent - kMostZShift);
    unit = std::min(unit, scale - run.y_format.exponent);
    if (run.z) unit = std::min(unit, scale - run.z_format.exponent);
    const int up = std::min(std::max(emax - unit, 0), 29);
    out->up[lane] = up;
    out->most[lane] = static_cast<int32_t>(kMost >> up);
    out->down[lane] = std::min(std::max(unit - emax, 0), 30);
    out->adjusts = out->adjusts || unit != emax;
    const int shift = scale - unit - run.y_format.exponent;
    out->shift[lane] = shift;
    int64_t add = 0;
    if (run.bias) {
      const double b = std::ldexp(static_cast<double>(run.bias[block.first + lane]), scale - unit);
      add = std::isnan(b)
                ? 0
                : static_cast<int64_t>(std::nearbyint(std::min(
                      std::max(b, -static_cast<double>(kMost)), static_cast<double>(kMost))));
    }
    if (run.z) {
      out->z_shift[lane] = scale - unit - run.z_format.exponent;
      add -= int64_t{run.z_format.zero} << out->z_shift[lane];
    }
    add += (int64_t{run.y_format.zero} << shift) + ((int64_t{1} << shift) >> 1);
    out->add[lane] = static_cast<int32_t>(add);
    if (run.x_format.zero == 0) continue;
    out->before[lane] = -run.x_format.zero * run.set.sums[static_cast<size_t>(block.first + lane)];
  }
  for (int lane = 0; !out->adjusts && lane < block.lanes; ++lane) {
    out->add[lane] += out->before[lane];  // one addition does where none comes between
  }
}

int64_t band_rows(const FixedConvRun& run, int64_t rows) {
  return (rows - 1) * run.conv.strides[0] + (run.conv.kernel[0] - 1) * run.conv.dilations[0] + 1;
}

void copy_band(const FixedConvRun& run, const BandLayout& l, int64_t image, int64_t begin,
               int64_t end, uint8_t* out) {
  const int64_t rows = band_rows(run, end - begin);
  const int64_t inputs = run.conv.inputs();
  const int64_t columns = l.row / l.pixel;
  const int64_t first = std::min(std::max<int64_t>(run.shape.begin[1], 0), columns);
  const int64_t from = std::max<int64_t>(-run.shape.begin[1], 0);
  const int64_t count = std::max<int64_t>(0, std::min(columns - first, run.shape.input[1] - from));
  for (int64_t r = 0; r < rows; ++r, out += l.row) {
    const int64_t at = begin * l.step[0] + r - run.shape.begin[0];
    const bool inside = at >= 0 && at < run.shape.input[0] && count > 0;
    if (!inside) {
      std::memset(out, run.x_format.zero, static_cast<size_t>(l.row));
      continue;
    }
    std::memset(out, run.x_format.zero, static_cast<size_t>(first * l.pixel));
    uint8_t* to = out + first * l.pixel;
    const uint8_t* x =
        run.x + ((image * run.shape.input[0] + at) * run.shape.input[1] + from) * inputs;
    if (l.pixel == inputs) {
      std::memcpy(to, x, static_cast<size_t>(count * inputs));
    } else {
      for (int64_t p = 0; p < count; ++p) {
        for (int64_t g = 0; g < run.conv.group; ++g, x += run.conv.group_inputs) {
          for (int64_t c = 0; c < l.group_bytes; ++c) {
            *to++ = c < run.conv.group_inputs ? x[c] : static_cast<uint8_t>(run.x_format.zero);
          }
        }
      }
    }
    uint8_t* end_of_row = out + l.row;
    to = out + (first + count) * l.pixel;
    std::memset(to, run.x_format.zero, static_cast<size_t>(end_of_row - to));
  }
}

}  // namespace reluflow
