// Which windows of a convolution of 16 bits are multiplied at once, and where their pixels lie.
#ifndef RELUFLOW_FIXED16_WINDOWS16_H
#define RELUFLOW_FIXED16_WINDOWS16_H

#include <vector>

#include "fixed16/run16.h"

namespace reluflow {

constexpr int64_t kPiecePixels = 98;  ///< output pixels of one piece of work, at least

/// Neighbouring output pixels; the windows of two of them begin `Windows16::step` elements apart.
struct Stretch16 {
  const int16_t* x;  ///< the first value of the first window
  int64_t first;     ///< number of the first pixel among those of Y
  int64_t length;
};

/// What is summed at once.
struct Piece16 {
  std::vector<Stretch16> stretches;
  int64_t pixels = 0;
  size_t bound = 0;  ///< of the weights' runs
};

/// A convolution as pieces: bands of rows of an image, or runs of a region. Their pixels lie in
/// place where no window needs padding; else a piece is copied with it.
class Windows16 {
 public:
  explicit Windows16(const Run16& run);

  size_t pieces() const { return pieces_; }
  /// Elements of the copy of a piece.
  size_t copy_size() const { return copy_size_; }
  /// Elements from one window to its neighbour.
  int64_t step() const { return run_.conv.strides[1] * run_.conv.inputs(); }
  /// Byte offset of each pair of weights from the first value of a window.
  std::vector<int64_t> offsets() const;

  /// Looks through what piece `i` sees, and copies it where it does not lie in place; false where a
  /// value is too large.
  bool open(size_t i, int16_t* copy, Largest* largest, Piece16* out) const;

 private:
  void place_bands();
  void place_runs();
  /// Input pixels of a row that `windows` neighbouring windows span.
  int64_t columns(int64_t windows) const;
  /// Rows of pixels that the windows of `rows` output rows see, inside the image or not.
  int64_t band_rows(int64_t rows) const;
  bool open_band(size_t i, int16_t* copy, Largest* largest, Piece16* out) const;
  bool open_runs(size_t i, int16_t* copy, Largest* largest, Piece16* out) const;
  void copy_columns(int64_t image, int64_t row, int64_t column, int64_t count, int16_t* out) const;
  void see_in_place(const PixelRun& at, Range16* range) const;

  const Run16& run_;
  bool copies_;
  int64_t row_;      // elements from one row of pixels to the next
  int64_t tap_row_;  // and from one row of taps to the next
  size_t pieces_ = 0;
  size_t copy_size_ = 0;
  int64_t rows_ = 0;            // of a band
  int64_t bands_ = 0;           // of an image
  std::vector<size_t> begins_;  // of the pieces among the runs of a region
};

}  // namespace reluflow

#endif
