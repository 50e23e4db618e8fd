// A convolution of bytes as pieces of work: bands of output rows, or runs of a region's pixels.
#ifndef RELUFLOW_FIXED_PIECES_H
#define RELUFLOW_FIXED_PIECES_H

#include <cstdint>
#include <vector>

#include "fixed/fixed_run.h"

namespace reluflow {

/// An output pixel.
struct FixedPixel {
  const uint8_t* x;  ///< first byte of its window
  int64_t number;    ///< among all output pixels
};

/// Pieces of at least `kBandPixels` output pixels where there are so many. The windows of a piece
/// lie in the input, or in a copy of what they see, padding included: that of a band is its rows,
/// that of runs their rows of windows side by side.
class FixedPieces {
 public:
  explicit FixedPieces(const FixedConvRun& run);

  size_t count() const { return runs_.empty() ? bands() : runs_.size() - 1; }
  bool copies() const { return layout_.copies; }
  const BandLayout& layout() const { return layout_; }
  /// Byte offset of each quad of a window.
  const std::vector<int32_t>& offsets() const { return offsets_; }
  size_t copy_bytes() const;
  /// Copies what the windows of a piece see.
  void copy(size_t piece, uint8_t* to) const;
  /// Number of output pixels of a piece.
  int64_t pixels(size_t piece) const;

  /// The pixels of a piece one by one.
  class Walk {
   public:
    FixedPixel next() {
      if (left_ == 0) enter();
      --left_;
      const FixedPixel pixel{x_, number_++};
      x_ += step_;
      return pixel;
    }

   private:
    friend class FixedPieces;
    void enter();

    const FixedPieces& all_;
    const uint8_t* copy_;  // null where nothing is copied
    int64_t step_;
    int64_t strip_;  // the next row of the output, or run
    const uint8_t* x_ = nullptr;
    int64_t number_ = 0;
    int64_t left_ = 0;

    Walk(const FixedPieces& all, size_t piece, const uint8_t* copy);
  };
  /// `copy` as `copy()` left it; null where nothing is copied.
  Walk walk(size_t piece, const uint8_t* copy) const { return Walk(*this, piece, copy); }

 private:
  size_t bands() const { return static_cast<size_t>(run_.shape.batch * bands_); }
  void cut_runs();
  int64_t columns_of(const PixelRun& run) const;
  const uint8_t* window(int64_t image, int64_t row, int64_t column) const;

  const FixedConvRun& run_;
  BandLayout layout_;
  int64_t tap_row_;  // bytes from one row of taps to the next
  std::vector<int32_t> offsets_;
  int64_t rows_ = 0;          // of a band
  int64_t bands_ = 0;         // of an image
  std::vector<size_t> runs_;  // as `Region::pieces` has them; empty without a region
};

}  // namespace reluflow

#endif
