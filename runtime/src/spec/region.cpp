#include "spec/region.h"

#include <cstring>

namespace reluflow {

namespace {

constexpr int64_t kAtOnce = 8;  // bytes of a mask that are looked at together

/// The first byte from `at` on that is 0 or not, as `set` says; else `end`.
int64_t next(const uint8_t* row, int64_t at, int64_t end, bool set) {
  while (at < end) {
    uint64_t bytes = 0;
    if (!set || at + kAtOnce > end) {
      if ((row[at] != 0) == set) return at;
      ++at;
      continue;
    }
    std::memcpy(&bytes, row + at, sizeof bytes);
    if (bytes == 0) {
      at += kAtOnce;
      continue;
    }
    while (row[at] == 0) ++at;
    return at;
  }
  return end;
}

}  // namespace

Region::Region(const uint8_t* mask, const PixelGrid& grid) : grid_(grid) {
  const int64_t lines = grid.batch * grid.rows;
  for (int64_t line = 0; line < lines; ++line) {
    const uint8_t* row = mask + line * grid.columns;
    int64_t at = next(row, 0, grid.columns, true);
    while (at < grid.columns) {
      const int64_t end = next(row, at, grid.columns, false);
      add(line, at, end - at);
      at = next(row, end, grid.columns, true);
    }
  }
}

void Region::add(int64_t line, int64_t column, int64_t length) {
  count_ += length;
  // Of nearly equal size: a run of one pixel costs more than its share.
  const Split split(static_cast<size_t>(length),
                    static_cast<size_t>((length + kMostRun - 1) / kMostRun));
  for (size_t i = 0; i < split.pieces; ++i) {
    const int64_t begin = static_cast<int64_t>(split.begin(i));
    runs_.push_back({line / grid_.rows, line % grid_.rows, column + begin,
                     static_cast<int64_t>(split.end(i)) - begin});
  }
}

std::vector<size_t> Region::pieces(int64_t pixels) const {
  std::vector<size_t> begins;
  int64_t held = pixels;
  for (size_t i = 0; i < runs_.size(); ++i) {
    if (held >= pixels) {
      begins.push_back(i);
      held = 0;
    }
    held += runs_[i].length;
  }
  begins.push_back(runs_.size());
  return begins;
}

}  // namespace reluflow
