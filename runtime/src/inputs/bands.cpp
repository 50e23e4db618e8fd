#include "inputs/bands.h"

#include <algorithm>
#include <thread>

namespace reluflow {

namespace {

constexpr int64_t kBandBytes = 128 << 10;   // an eighth of a second cache
constexpr int64_t kLargeBytes = 512 << 10;  // half of it

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Packed pixels along an axis that `n` windows need.
int64_t packed_pixels(const ConvShape& shape, int axis, int64_t n) {
  const int64_t span = shape.packed[axis] - (shape.output[axis] - 1) * shape.window_step[axis];
  return (n - 1) * shape.window_step[axis] + span;
}

}  // namespace

Bands::Bands(const ConvSpec& conv, const ConvShape& shape, int64_t weight_bytes, int tile_pixels)
    : whole_(shape),
      part_(shape),
      layout_(PackedLayout{conv, part_, spread(shape.plane())}),
      axis_(shape.output[0] > 1 ? 0 : 1),
      other_(shape.output[1 - axis_]) {
  const int64_t bytes = layout_.image() * static_cast<int64_t>(sizeof(int32_t));
  const int64_t limit = weight_bytes > kLargeBytes ? kLargeBytes : kBandBytes;
  if (bytes <= limit) {
    images_ = std::min(shape.batch, limit / bytes);
    images_ = divide_up(shape.batch, divide_up(shape.batch, images_));
  } else {
    const int64_t wanted = divide_up(divide_up(bytes, limit), 2) * 2;  // two threads, equal work
    int64_t each = divide_up(shape.output[axis_], wanted);
    if (other_ == 1) each = divide_up(each, tile_pixels) * tile_pixels;
    parts_ = divide_up(shape.output[axis_], each);
  }
  part_.output[axis_] = divide_up(shape.output[axis_], parts_);
  part_.packed[axis_] = packed_pixels(shape, axis_, part_.output[axis_]);
  layout_.plane_stride = spread(part_.plane());
  most_windows_ = images_ * part_.pixels();
  count_ = static_cast<size_t>(divide_up(shape.batch, images_) * parts_);
}

int64_t Bands::first_image(size_t band) const {
  return static_cast<int64_t>(band) / parts_ * images_;
}

int64_t Bands::images(size_t band) const {
  return std::min(images_, whole_.batch - first_image(band));
}

int64_t Bands::begin(size_t band) const {
  return static_cast<int64_t>(band) % parts_ * part_.output[axis_];
}

int64_t Bands::size(size_t band) const {
  return std::min(part_.output[axis_], whole_.output[axis_] - begin(band));
}

int64_t Bands::first_pixel(size_t band) const { return begin(band) * other_; }

void Bands::pack(size_t band, const RowPacker& packer, const float* x, int32_t* out) const {
  const int64_t from = begin(band) * whole_.window_step[axis_];
  const int64_t n = packed_pixels(whole_, axis_, size(band));
  const int64_t rows = axis_ == 0 ? n : part_.packed[0];
  const int64_t first_row = axis_ == 0 ? from : 0;
  const int64_t columns = axis_ == 1 ? n : part_.packed[1];
  const int64_t first_column = axis_ == 1 ? from : 0;
  const int64_t size = layout_.conv.inputs() * whole_.input[0] * whole_.input[1];
  for (int64_t i = 0; i < images(band); ++i) {
    const float* image = x + (first_image(band) + i) * size;
    for (int64_t plane = 0; plane < layout_.planes(); ++plane) {
      const RowPacker::Plane from_plane = packer.plane(image, plane);
      int32_t* to = out + i * layout_.image() + plane * layout_.plane_stride;
      for (int64_t r = 0; r < rows; ++r) {
        packer.row(from_plane, first_row + r, first_column, columns, to + r * part_.packed[1]);
      }
    }
  }
}

BandSlots::BandSlots(size_t items) {
  static const size_t processors = std::max(1u, std::thread::hardware_concurrency());
  count_ = std::max<size_t>(1, std::min({items, processors, kMost}));
  free_ = count_ == kMost ? ~uint64_t{0} : (uint64_t{1} << count_) - 1;
  std::fill(band_, band_ + kMost, int64_t{-1});
}

size_t BandSlots::take() {
  for (;;) {
    uint64_t free = free_.load(std::memory_order_relaxed);
    while (free != 0) {
      const uint64_t lowest = free & (~free + 1);
      if (free_.compare_exchange_weak(free, free & ~lowest, std::memory_order_acquire)) {
        size_t slot = 0;
        while (lowest >> slot != 1) ++slot;
        return slot;
      }
    }
    std::this_thread::yield();  // more threads than processors
  }
}

}  // namespace reluflow
