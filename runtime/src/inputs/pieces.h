// Pieces: runs of a region whose windows are packed side by side.
#ifndef RELUFLOW_INPUTS_PIECES_H
#define RELUFLOW_INPUTS_PIECES_H

#include <algorithm>
#include <cstdint>
#include <vector>

#include "inputs/packed_input.h"
#include "spec/conv_shape.h"
#include "spec/region.h"

namespace reluflow {

/// Cuts a region into pieces, wherever their runs lie: so many pixels that the weights are read
/// seldom, so few that what their windows see stays in a core's own cache. Each row of the kernel
/// is one packed row, in which every run has columns of its own.
class Pieces {
 public:
  static constexpr int64_t kPixels = 96;  ///< of a piece, at least: as dense pieces of bytes have
  static constexpr int64_t kMostPixels = kPixels + kMostRun - 1;

  Pieces(const ConvSpec& conv, const ConvShape& shape, const Region& region);
  Pieces(const Pieces&) = delete;
  Pieces& operator=(const Pieces&) = delete;

  size_t count() const { return begins_.size() - 1; }
  int64_t pixels(size_t piece) const { return pixels_[piece]; }
  /// Layout of a packed piece, and its int32 elements.
  const PackedLayout& layout() const { return layout_; }
  int64_t packed_size() const { return layout_.image(); }

  /// Quantises what the windows of a piece see.
  void pack(size_t piece, const RowPacker& packer, const float* x, int32_t* out) const;

  /// Some pixels of a run, and the number of the first one's window in a packed plane.
  struct Part {
    const PixelRun& run;
    int64_t skipped;  ///< pixels of the run in front
    int64_t length;
    int64_t window;
  };
  /// Calls `visit(part)` for pixels [begin, end) of a piece, run by run.
  template <class Visit>
  void visit(size_t piece, int64_t begin, int64_t end, Visit&& visit) const {
    int64_t pixel = 0;
    int64_t column = 0;
    for (size_t r = begins_[piece]; r < begins_[piece + 1] && pixel < end; ++r) {
      const PixelRun& run = region_.runs()[r];
      const int64_t from = std::max(begin - pixel, int64_t{0});
      const int64_t to = std::min(end - pixel, run.length);
      if (from < to) visit(Part{run, from, to - from, column + from * whole_.window_step[1]});
      pixel += run.length;
      column += columns(run);
    }
  }

 private:
  /// Packed columns that a run sees.
  int64_t columns(const PixelRun& run) const {
    return (run.length - 1) * whole_.window_step[1] + span_;
  }

  const ConvShape& whole_;
  const Region& region_;
  int64_t span_;    // packed columns of one window
  ConvSpec rows_;   // the convolution, whose rows are neighbours in a packed piece
  ConvShape part_;  // the largest piece
  PackedLayout layout_;
  int64_t row_step_;            // packed rows of the whole from one row of the kernel to the next
  std::vector<size_t> begins_;  // the first run of each piece, and the end
  std::vector<int64_t> pixels_;
};

}  // namespace reluflow

#endif
