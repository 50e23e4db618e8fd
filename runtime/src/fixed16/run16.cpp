#include "fixed16/run16.h"

#include <algorithm>
#include <string>

namespace reluflow {

RowRange rows_seen(const Run16& run, int64_t begin, int64_t end) {
  const int64_t first = begin * run.conv.strides[0] - run.shape.begin[0];
  const int64_t last = (end - 1) * run.conv.strides[0] - run.shape.begin[0] +
                       (run.conv.kernel[0] - 1) * run.conv.dilations[0] + 1;
  return {std::clamp<int64_t>(first, 0, run.shape.input[0]),
          std::clamp<int64_t>(last, 0, run.shape.input[0])};
}

void widen(const Range16& other, Range16* range) {
  range->low = std::min(range->low, other.low);
  range->high = std::max(range->high, other.high);
}

bool Largest::see(const Run16& run, int64_t image, RowRange rows, Range16* range) {
  *range = {0, 0};
  if (rows.begin >= rows.end) return true;
  const int64_t row = run.shape.input[1] * run.conv.inputs();
  const int16_t* x = run.x + (image * run.shape.input[0] + rows.begin) * row;
  *range = run.kernels.fixed16_range(x, (rows.end - rows.begin) * row);
  return add(run.psb, *range);
}

bool Largest::add(const PsbSpec& psb, const Range16& range) {
  const int found = std::max(-range.low, range.high);
  int before = most_.load(std::memory_order_relaxed);
  while (before < found && !most_.compare_exchange_weak(before, found)) {
  }
  return found <= psb.limit();
}

Status Largest::check(const PsbSpec& psb) const {
  if (most_ <= psb.limit()) return {};
  return Status("X holds a value of magnitude " + std::to_string(most_) + ", but x_bits " +
                std::to_string(psb.x_bits) + " allows at most " + std::to_string(psb.limit()) +
                "; convert the model again.");
}

}  // namespace reluflow
