#include "fixed16/run16.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

namespace reluflow {

namespace {

constexpr int kMostShift = 14;       // of a sum to its value, and of a value of z to its sum
constexpr int kMostUp = 29;          // of a sum whose unit is finer than that of its products
constexpr int64_t kMost = 1 << 29;   // of a sum, and of a bias in its unit
constexpr int kMostNarrowDown = 31;  // from where on any sum of 30 bits rounds to 0
constexpr int kMostWideDown = 46;    // from where on any sum of 45 bits rounds to 0

/// How sums in the unit of their products come to that of the store: down by `down` bits, rounded.
void set_down(int lane, int down, bool wide, Fixed16Store* s) {
  if (!wide) {
    down = std::min(down, kMostNarrowDown);
    s->down[lane] = down;
    s->half[lane] = static_cast<int32_t>(int64_t{1} << down >> 1);
    return;
  }
  down = std::min(down, kMostWideDown);
  if (down <= kWideBits) {
    s->left[lane] = kWideBits - down;
    s->half[lane] = 1 << down >> 1;
    s->down[lane] = down;
  } else {
    s->down[lane] = kWideBits;
    s->half2[lane] = 1 << (down - kWideBits) >> 1;
    s->down2[lane] = down - kWideBits;
  }
}

int64_t bias_of(float bias, int exponent) {
  const double b = std::ldexp(static_cast<double>(bias), exponent);
  if (std::isnan(b)) return 0;
  const double most = static_cast<double>(kMost);
  return static_cast<int64_t>(std::nearbyint(std::min(std::max(b, -most), most)));
}

}  // namespace

void make_store16(const Run16& run, const OutputBlock& block, bool wide, const int* channels,
                  Fixed16Store* out) {
  std::memset(out, 0, sizeof *out);
  out->low = run.low;
  out->high = run.high;
  for (int lane = 0; lane < kTileLanes; ++lane) {
    if (channels[lane] >= block.lanes) continue;
    const int64_t m = block.first + channels[lane];
    const int scale = kMeanBits + run.x_exponent - run.emax[m];  // products are in units 2^-scale
    const int to_y = scale - run.y_exponent;
    const int to_z = run.z ? scale - run.z_exponent : to_y;
    const int down = std::max(run.weights.excess(m), std::max(to_y, to_z) - kMostShift);
    const int unit = std::min({down, to_y, to_z});
    const int up = std::min(down - unit, kMostUp);
    set_down(lane, down, wide, out);
    out->rounds = out->rounds || down > 0;
    out->raises = out->raises || up > 0;
    out->up[lane] = up;
    out->most[lane] = static_cast<int32_t>(kMost >> up);
    out->shift[lane] = to_y - unit;
    out->z_shift[lane] = to_z - unit;
    const int64_t bias = run.bias ? bias_of(run.bias[m], scale - unit) : 0;
    out->add[lane] = static_cast<int32_t>(bias + (int64_t{1} << out->shift[lane] >> 1));
  }
}

RowRange rows_seen(const Run16& run, int64_t begin, int64_t end) {
  const int64_t first = begin * run.conv.strides[0] - run.shape.begin[0];
  const int64_t last = (end - 1) * run.conv.strides[0] - run.shape.begin[0] +
                       (run.conv.kernel[0] - 1) * run.conv.dilations[0] + 1;
  return {std::clamp<int64_t>(first, 0, run.shape.input[0]),
          std::clamp<int64_t>(last, 0, run.shape.input[0])};
}

void Largest::see(const Run16& run, int64_t image, RowRange rows) {
  if (rows.begin >= rows.end) return;
  const int64_t row = run.shape.input[1] * run.conv.inputs();
  const int16_t* x = run.x + (image * run.shape.input[0] + rows.begin) * row;
  const int found = run.kernels.fixed16_most(x, (rows.end - rows.begin) * row);
  int before = most_.load(std::memory_order_relaxed);
  while (before < found && !most_.compare_exchange_weak(before, found)) {
  }
}

Status Largest::check(const PsbSpec& psb) const {
  if (most_ <= psb.limit()) return {};
  return Status("X holds a value of magnitude " + std::to_string(most_) + ", but x_bits " +
                std::to_string(psb.x_bits) + " allows at most " + std::to_string(psb.limit()) +
                "; convert the model again.");
}

}  // namespace reluflow
