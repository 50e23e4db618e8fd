// A convolution of bytes as pieces of work: bands of output rows, or runs of a region's pixels.
#ifndef RELUFLOW_FIXED_PIECES_H
#define RELUFLOW_FIXED_PIECES_H

#include <cstdint>
#include <vector>

#include "fixed/fixed_run.h"

namespace reluflow {

/// Neighbouring output pixels of a row.
struct FixedPixels {
  const uint8_t* x;  ///< first byte of the first window
  int64_t image;
  int64_t first;  ///< number of the first pixel in its image
  int64_t count;
};

/// A piece of work: rows of the output of an image, or runs of a region.
struct FixedPiece {
  int64_t image;  ///< of rows
  int64_t begin;  ///< the first row, or run
  int64_t end;
  int64_t pixels;  ///< of the output
  bool copied;     ///< whether its windows lie in a copy
};

/// Pieces of at least `kBandPixels` output pixels where there are so many. The windows of a piece
/// lie in the input, or in a copy of what they see, padding included: that of a band is its rows,
/// that of runs their rows of windows side by side. Runs whose windows see no padding lie in place.
class FixedPieces {
 public:
  explicit FixedPieces(const FixedConvRun& run);

  size_t count() const { return begins_.empty() ? bands() : begins_.size() - 1; }
  /// Whether some pieces are copied.
  bool copies() const { return run_.region ? first_copied_ < count() : layout_.copies; }
  const BandLayout& layout() const { return layout_; }
  /// Byte offset of each quad of a window.
  const std::vector<int32_t>& offsets(const FixedPiece& piece) const {
    return piece.copied ? copied_ : in_place_;
  }
  size_t copy_bytes() const;
  FixedPiece piece(size_t number) const;
  /// Copies what the windows of a piece see.
  void copy(const FixedPiece& piece, uint8_t* to) const;

  /// The pixels of a piece, some at a time.
  class Walk {
   public:
    /// The next pixels, `most` or as many as are left in a row.
    FixedPixels take(int64_t most) {
      if (left_ == 0) enter();
      const int64_t count = left_ < most ? left_ : most;
      const FixedPixels taken{x_, image_, first_, count};
      left_ -= count;
      first_ += count;
      x_ += count * step_;
      return taken;
    }
    /// Bytes from one window to the next.
    int64_t step() const { return step_; }

   private:
    friend class FixedPieces;
    void enter();

    const FixedPieces& all_;
    const uint8_t* copy_;  // null where nothing is copied
    int64_t step_;
    int64_t strip_;  // the next row of the output, or run
    const uint8_t* x_ = nullptr;
    int64_t image_;
    int64_t first_ = 0;
    int64_t left_ = 0;

    Walk(const FixedPieces& all, const FixedPiece& piece, const uint8_t* copy);
  };
  /// `copy` as `copy()` left it, for a piece that is copied.
  Walk walk(const FixedPiece& piece, const uint8_t* copy) const { return Walk(*this, piece, copy); }

 private:
  size_t bands() const { return static_cast<size_t>(run_.shape.batch * bands_); }
  void cut_runs();
  void cut(size_t begin, size_t end);
  int64_t columns_of(const PixelRun& run) const;
  const uint8_t* window(int64_t image, int64_t row, int64_t column) const;

  const FixedConvRun& run_;
  BandLayout layout_;
  std::vector<int32_t> in_place_;  // offsets
  std::vector<int32_t> copied_;
  int64_t rows_ = 0;            // of a band
  int64_t bands_ = 0;           // of an image
  std::vector<PixelRun> runs_;  // of a region: those in place come first
  std::vector<size_t> begins_;  // of each piece among these, then their number
  size_t first_copied_ = 0;     // the first piece of those that are copied
};

}  // namespace reluflow

#endif
