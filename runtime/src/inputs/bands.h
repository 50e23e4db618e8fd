// Bands: parts of a batch whose packed pixels stay in one core's own cache.
#ifndef RELUFLOW_INPUTS_BANDS_H
#define RELUFLOW_INPUTS_BANDS_H

#include <atomic>
#include <cstdint>

#include "base/runner.h"
#include "inputs/packed_input.h"
#include "spec/conv_shape.h"

namespace reluflow {

/// Cuts a batch into some images each, or an image into some rows each (columns, where it has one
/// row only). Windows of a band are numbered in C order from 0.
class Bands {
 public:
  /// `weight_bytes` per image: where there are many, larger bands read them less often.
  Bands(const ConvSpec& conv, const ConvShape& shape, int64_t weight_bytes, int tile_pixels);

  Bands(const Bands&) = delete;
  Bands& operator=(const Bands&) = delete;

  size_t count() const { return count_; }
  /// Windows of a band, and of the largest one.
  int64_t windows(size_t band) const { return images(band) * size(band) * other_; }
  int64_t most_windows() const { return most_windows_; }
  /// int32 elements of a packed band.
  int64_t packed_size() const { return images_ * layout_.image(); }
  /// Layout of a packed band.
  const PackedLayout& layout() const { return layout_; }

  int64_t first_image(size_t band) const;
  int64_t images(size_t band) const;
  /// Pixel of the image's output that is window 0.
  int64_t first_pixel(size_t band) const;
  /// Output pixels of the band in each of its images.
  int64_t pixels(size_t band) const { return size(band) * other_; }

  /// Quantises the input pixels of a band.
  void pack(size_t band, const RowPacker& packer, const float* x, int32_t* out) const;

 private:
  int64_t begin(size_t band) const;
  int64_t size(size_t band) const;

  const ConvShape& whole_;
  ConvShape part_;  // the windows of the largest band
  PackedLayout layout_;
  int axis_;            // 0: rows are cut, 1: columns
  int64_t other_ = 1;   // output pixels along the axis that is not cut
  int64_t images_ = 1;  // of a band, at most
  int64_t parts_ = 1;   // of an image
  int64_t most_windows_ = 0;
  size_t count_ = 1;
};

/// Memory for one band each: a thread that comes back finds the band it left behind.
class BandSlots {
 public:
  static constexpr size_t kMost = 64;

  /// No more slots are needed than `items` of work, nor than processors.
  explicit BandSlots(size_t items);

  size_t count() const { return count_; }
  /// Takes the first free slot.
  size_t take();
  void give(size_t slot) { free_.fetch_or(uint64_t{1} << slot, std::memory_order_release); }
  /// Number of the band in a slot that one holds, -1 at first.
  int64_t& band(size_t slot) { return band_[slot]; }

 private:
  size_t count_;
  std::atomic<uint64_t> free_;
  int64_t band_[kMost];
};

}  // namespace reluflow

#endif
