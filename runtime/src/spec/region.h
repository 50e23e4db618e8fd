// The pixels of an output that a run computes: docs/psb-ops.md, "Regions".
#ifndef RELUFLOW_SPEC_REGION_H
#define RELUFLOW_SPEC_REGION_H

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/runner.h"

namespace reluflow {

constexpr int64_t kMostRun = 32;  ///< pixels of a run, at most: the scratch of a window stays small

/// Pixels in C order. With one spatial axis there is one row, with none one pixel; with more than
/// two all but the last are rows.
struct PixelGrid {
  int64_t batch = 0;
  int64_t rows = 1;
  int64_t columns = 1;

  int64_t count() const { return batch * rows * columns; }
};

/// Neighbouring pixels of a row.
struct PixelRun {
  int64_t image;
  int64_t row;
  int64_t column;
  int64_t length;  ///< 1 to kMostRun
};

/// Some pixels as runs, in order of image, row and column.
class Region {
 public:
  /// The pixels whose byte in `mask`, one for each of the grid's, is not 0.
  Region(const uint8_t* mask, const PixelGrid& grid);

  const PixelGrid& grid() const { return grid_; }
  const std::vector<PixelRun>& runs() const { return runs_; }
  /// Number of pixels.
  int64_t count() const { return count_; }
  /// The number of a run's first pixel among the grid's.
  int64_t first(const PixelRun& run) const {
    return (run.image * grid_.rows + run.row) * grid_.columns + run.column;
  }
  /// Cuts the runs into pieces of at least `pixels` pixels, the last one excepted: the number of
  /// each piece's first run, then the number of runs. A region of no pixels has no piece.
  std::vector<size_t> pieces(int64_t pixels) const;

 private:
  void add(PixelRun run);

  PixelGrid grid_;
  std::vector<PixelRun> runs_;
  int64_t count_ = 0;
};

/// Calls `work(run)` for every run; several threads share them, each takes at least `pixels` pixels
/// at once.
template <class Work>
void for_each_run(Runner& runner, const Region& region, int64_t pixels, const Work& work) {
  const std::vector<size_t> begins = region.pieces(pixels);
  if (begins.size() < 2) return;
  parallel_for(runner, begins.size() - 1, [&](size_t i) {
    for (size_t r = begins[i]; r < begins[i + 1]; ++r) work(region.runs()[r]);
  });
}

/// Calls `work(image, begin, end)` for neighbouring pixels of images of `pixels` pixels each: all
/// of them, or those of a region; a thread takes `piece` at once.
template <class Work>
void for_pixels(Runner& runner, int64_t images, int64_t pixels, const Region* region, int64_t piece,
                const Work& work) {
  if (region) {
    for_each_run(runner, *region, piece, [&](const PixelRun& run) {
      const int64_t begin = run.row * region->grid().columns + run.column;
      work(run.image, begin, begin + run.length);
    });
    return;
  }
  const size_t pieces = static_cast<size_t>((pixels + piece - 1) / piece);
  parallel_for(runner, static_cast<size_t>(images) * pieces, [&](size_t i) {
    const int64_t begin = static_cast<int64_t>(i % pieces) * piece;
    work(static_cast<int64_t>(i / pieces), begin, std::min(pixels, begin + piece));
  });
}

}  // namespace reluflow

#endif
