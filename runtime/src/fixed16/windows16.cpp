#include "fixed16/windows16.h"

#include <algorithm>
#include <cstring>

namespace reluflow {

namespace {

/// An odd number of channels is copied: its last pair reads one value more.
bool lies_in_place(const Run16& run) {
  if (run.conv.group_inputs % 2 != 0) return false;
  for (int axis = 0; axis < 2; ++axis) {
    const int64_t last = (run.shape.output[axis] - 1) * run.conv.strides[axis] +
                         (run.conv.kernel[axis] - 1) * run.conv.dilations[axis] -
                         run.shape.begin[axis];
    if (run.shape.begin[axis] != 0 || last >= run.shape.input[axis]) return false;
  }
  return true;
}

void clear(int16_t* to, int64_t values) {
  if (values > 0) std::memset(to, 0, static_cast<size_t>(values) * sizeof *to);
}

}  // namespace

Windows16::Windows16(const Run16& run) : run_(run), copies_(!lies_in_place(run)) {
  if (run.region) {
    place_runs();
  } else {
    place_bands();
  }
}

void Windows16::place_bands() {
  const int64_t height = run_.shape.output[0];
  const int64_t width = run_.shape.output[1];
  rows_ = std::min(height, (kPiecePixels + width - 1) / width);
  bands_ = (height + rows_ - 1) / rows_;
  pieces_ = static_cast<size_t>(run_.shape.batch * bands_);
  row_ = run_.conv.inputs() * (copies_ ? columns(width) : run_.shape.input[1]);
  tap_row_ = run_.conv.dilations[0] * row_;
  if (copies_) copy_size_ = static_cast<size_t>(band_rows(rows_) * row_ + 1);
}

void Windows16::place_runs() {
  begins_ = run_.region->pieces(kPiecePixels);
  pieces_ = begins_.size() - 1;
  row_ = run_.conv.inputs() * run_.shape.input[1];
  tap_row_ = run_.conv.dilations[0] * row_;
  if (!copies_) return;
  // Runs stand side by side, in as many rows as there are rows of taps.
  int64_t most = 0;
  for (size_t i = 0; i < pieces_; ++i) {
    int64_t all = 0;
    for (size_t r = begins_[i]; r < begins_[i + 1]; ++r) {
      all += columns(run_.region->runs()[r].length);
    }
    most = std::max(most, all);
  }
  tap_row_ = most * run_.conv.inputs() + run_.conv.group_inputs % 2;
  copy_size_ = static_cast<size_t>(run_.conv.kernel[0] * tap_row_);
}

int64_t Windows16::columns(int64_t windows) const {
  return (windows - 1) * run_.conv.strides[1] + (run_.conv.kernel[1] - 1) * run_.conv.dilations[1] +
         1;
}

int64_t Windows16::band_rows(int64_t rows) const {
  return (rows - 1) * run_.conv.strides[0] + (run_.conv.kernel[0] - 1) * run_.conv.dilations[0] + 1;
}

std::vector<int64_t> Windows16::offsets() const {
  std::vector<int64_t> offsets;
  const ConvSpec& conv = run_.conv;
  for (const WeightPair& pair : run_.weights.lanes().order().pairs) {
    const int64_t tap = pair.low % conv.taps();
    const int64_t at = tap / conv.kernel[1] * tap_row_ +
                       tap % conv.kernel[1] * conv.dilations[1] * conv.inputs() +
                       pair.low / conv.taps();
    offsets.push_back(at * static_cast<int64_t>(sizeof(int16_t)));
  }
  return offsets;
}

bool Windows16::open(size_t i, int16_t* copy, Largest* largest, Piece16* out) const {
  out->stretches.clear();
  return run_.region ? open_runs(i, copy, largest, out) : open_band(i, copy, largest, out);
}

bool Windows16::open_band(size_t i, int16_t* copy, Largest* largest, Piece16* out) const {
  const int64_t begin = static_cast<int64_t>(i) % bands_ * rows_;
  const int64_t image = static_cast<int64_t>(i) / bands_;
  const int64_t end = std::min(run_.shape.output[0], begin + rows_);
  Range16 range;
  if (!largest->see(run_, image, rows_seen(run_, begin, end), &range)) return false;
  const int64_t stride = run_.conv.strides[0];
  const int16_t* x = run_.x + (image * run_.shape.input[0] + begin * stride) * row_;
  if (copies_) {
    const int64_t rows = band_rows(end - begin);
    for (int64_t r = 0; r < rows; ++r) {
      copy_columns(image, begin * stride + r - run_.shape.begin[0], -run_.shape.begin[1],
                   columns(run_.shape.output[1]), copy + r * row_);
    }
    copy[rows * row_] = 0;  // what the last pair of an odd number of channels reads
    x = copy;
  }
  const int64_t width = run_.shape.output[1];
  for (int64_t r = begin; r < end; ++r, x += stride * row_) {
    out->stretches.push_back({x, (image * run_.shape.output[0] + r) * width, width});
  }
  out->pixels = (end - begin) * width;
  out->bound = run_.weights.bound_of(range);
  return true;
}

bool Windows16::open_runs(size_t i, int16_t* copy, Largest* largest, Piece16* out) const {
  const ConvSpec& conv = run_.conv;
  Range16 range{0, 0};
  int64_t at = 0;  // elements of a row of taps that are copied
  out->pixels = 0;
  for (size_t n = begins_[i]; n < begins_[i + 1]; ++n) {
    const PixelRun& run = run_.region->runs()[n];
    const int64_t row = run.row * conv.strides[0] - run_.shape.begin[0];
    const int64_t column = run.column * conv.strides[1] - run_.shape.begin[1];
    const int16_t* x = copy + at;
    if (copies_) {
      const int64_t count = columns(run.length);
      for (int64_t k = 0; k < conv.kernel[0]; ++k) {
        copy_columns(run.image, row + k * conv.dilations[0], column, count,
                     copy + k * tap_row_ + at);
      }
      at += count * conv.inputs();
    } else {
      see_in_place(run, &range);
      x = run_.x + (run.image * run_.shape.input[0] + row) * row_ + column * conv.inputs();
    }
    out->stretches.push_back({x, run_.region->first(run), run.length});
    out->pixels += run.length;
  }
  for (int64_t k = 0; copies_ && k < conv.kernel[0]; ++k) {
    widen(run_.kernels.fixed16_range(copy + k * tap_row_, at), &range);
    if (conv.group_inputs % 2 != 0) copy[k * tap_row_ + at] = 0;  // read by the last pair
  }
  out->bound = run_.weights.bound_of(range);
  return largest->add(run_.psb, range);
}

void Windows16::copy_columns(int64_t image, int64_t row, int64_t column, int64_t count,
                             int16_t* out) const {
  const int64_t pixel = run_.conv.inputs();
  const int64_t first = std::clamp<int64_t>(-column, 0, count);
  const int64_t end = std::clamp<int64_t>(run_.shape.input[1] - column, first, count);
  if (row < 0 || row >= run_.shape.input[0] || first == end) {
    clear(out, count * pixel);
    return;
  }
  clear(out, first * pixel);
  const int64_t from = (image * run_.shape.input[0] + row) * run_.shape.input[1] + column + first;
  std::memcpy(out + first * pixel, run_.x + from * pixel,
              static_cast<size_t>((end - first) * pixel) * sizeof *out);
  clear(out + end * pixel, (count - end) * pixel);
}

void Windows16::see_in_place(const PixelRun& at, Range16* range) const {
  const ConvSpec& conv = run_.conv;
  const int64_t values = columns(at.length) * conv.inputs();
  const int16_t* x = run_.x + (at.image * run_.shape.input[0] + at.row * conv.strides[0]) * row_ +
                     at.column * step();
  for (int64_t k = 0; k < conv.kernel[0]; ++k) {
    widen(run_.kernels.fixed16_range(x + k * tap_row_, values), range);
  }
}

}  // namespace reluflow
