#include "fixed/pieces.h"

#include <algorithm>

namespace reluflow {

namespace {

constexpr int64_t kBandPixels = 96;  // output pixels of one piece of work, at least

bool lies_in_place(const FixedConvRun& run) {
  if (run.conv.group_inputs % kQuad != 0) return false;
  for (int axis = 0; axis < 2; ++axis) {
    const int64_t last = (run.shape.output[axis] - 1) * run.conv.strides[axis] +
                         (run.conv.kernel[axis] - 1) * run.conv.dilations[axis] -
                         run.shape.begin[axis];
    if (run.shape.begin[axis] > 0 || last >= run.shape.input[axis]) return false;
  }
  return true;
}

/// Pixels of a row that neighbouring windows see.
int64_t columns_seen(const FixedConvRun& run, int64_t windows) {
  return (windows - 1) * run.conv.strides[1] + (run.conv.kernel[1] - 1) * run.conv.dilations[1] + 1;
}

BandLayout make_layout(const FixedConvRun& run) {
  BandLayout l{};
  l.copies = !lies_in_place(run);
  l.group_bytes = (run.conv.group_inputs + kQuad - 1) / kQuad * kQuad;
  l.pixel = l.copies ? l.group_bytes * run.conv.group : run.conv.inputs();
  l.row = l.pixel * (l.copies ? columns_seen(run, run.shape.output[1]) : run.shape.input[1]);
  l.step[0] = run.conv.strides[0];
  l.step[1] = run.conv.strides[1];
  return l;
}

std::vector<int32_t> make_offsets(const FixedConvRun& run, const BandLayout& layout,
                                  int64_t tap_row) {
  std::vector<int32_t> offsets;
  offsets.reserve(static_cast<size_t>(run.code.quads()));
  for (int64_t c = 0; c < layout.group_bytes; c += kQuad) {
    for (int64_t i = 0; i < run.conv.kernel[0]; ++i) {
      for (int64_t j = 0; j < run.conv.kernel[1]; ++j) {
        offsets.push_back(
            static_cast<int32_t>(i * tap_row + j * run.conv.dilations[1] * layout.pixel + c));
      }
    }
  }
  return offsets;
}

}  // namespace

FixedPieces::FixedPieces(const FixedConvRun& run) : run_(run), layout_(make_layout(run)) {
  const int64_t dilation = run.conv.dilations[0];
  int64_t tap_row = layout_.row * dilation;
  if (run.region) {
    cut_runs();
    tap_row = layout_.row;
  } else {
    const int64_t height = run.shape.output[0];
    rows_ = std::min(height, (kBandPixels + run.shape.output[1] - 1) / run.shape.output[1]);
    bands_ = (height + rows_ - 1) / rows_;
  }
  if (copies()) copied_ = make_offsets(run, layout_, tap_row);
  if (run.region ? first_copied_ > 0 : !layout_.copies) {
    in_place_ = make_offsets(run, layout_, run.shape.input[1] * layout_.pixel * dilation);
  }
}

int64_t FixedPieces::columns_of(const PixelRun& run) const {
  return columns_seen(run_, run.length);
}

void FixedPieces::cut_runs() {
  runs_ = run_.region->runs();
  const bool whole_quads = run_.conv.group_inputs % kQuad == 0;
  const auto rim = std::stable_partition(runs_.begin(), runs_.end(), [&](const PixelRun& run) {
    return !layout_.copies || (whole_quads && sees_no_padding(run_, run));
  });
  cut(0, static_cast<size_t>(rim - runs_.begin()));
  first_copied_ = begins_.size();
  cut(static_cast<size_t>(rim - runs_.begin()), runs_.size());
  begins_.push_back(runs_.size());
  int64_t most = 0;
  for (size_t i = first_copied_; i < count(); ++i) {
    int64_t columns = 0;
    for (size_t r = begins_[i]; r < begins_[i + 1]; ++r) columns += columns_of(runs_[r]);
    most = std::max(most, columns);
  }
  layout_.row = most * layout_.pixel;
}

void FixedPieces::cut(size_t begin, size_t end) {
  int64_t held = kBandPixels;
  for (size_t r = begin; r < end; ++r) {
    if (held >= kBandPixels) {
      begins_.push_back(r);
      held = 0;
    }
    held += runs_[r].length;
  }
}

size_t FixedPieces::copy_bytes() const {
  const int64_t rows = run_.region ? run_.conv.kernel[0] : band_rows(run_, rows_);
  return static_cast<size_t>(rows * layout_.row);
}

FixedPiece FixedPieces::piece(size_t number) const {
  const int64_t i = static_cast<int64_t>(number);
  if (!run_.region) {
    const int64_t begin = i % bands_ * rows_;
    const int64_t end = std::min(run_.shape.output[0], begin + rows_);
    return {i / bands_, begin, end, (end - begin) * run_.shape.output[1], layout_.copies};
  }
  const size_t begin = begins_[number];
  const size_t end = begins_[number + 1];
  int64_t pixels = 0;
  for (size_t r = begin; r < end; ++r) pixels += runs_[r].length;
  return {0, static_cast<int64_t>(begin), static_cast<int64_t>(end), pixels,
          number >= first_copied_};
}

void FixedPieces::copy(const FixedPiece& piece, uint8_t* to) const {
  if (!run_.region) return copy_band(run_, layout_, piece.image, piece.begin, piece.end, to);
  for (int64_t r = piece.begin; r < piece.end; ++r) {
    const PixelRun& run = runs_[static_cast<size_t>(r)];
    copy_run(run_, layout_, run, to);
    to += columns_of(run) * layout_.pixel;
  }
}

const uint8_t* FixedPieces::window(int64_t image, int64_t row, int64_t column) const {
  const int64_t y = image * run_.shape.input[0] + row * layout_.step[0] - run_.shape.begin[0];
  return run_.x +
         (y * run_.shape.input[1] + column * layout_.step[1] - run_.shape.begin[1]) * layout_.pixel;
}

FixedPieces::Walk::Walk(const FixedPieces& all, const FixedPiece& piece, const uint8_t* copy)
    : all_(all),
      copy_(piece.copied ? copy : nullptr),
      step_(all.layout_.step[1] * all.layout_.pixel),
      strip_(piece.begin),
      image_(piece.image) {}

void FixedPieces::Walk::enter() {
  const FixedConvRun& run = all_.run_;
  const int64_t strip = strip_++;
  int64_t seen = 0;  // bytes of a copy
  if (run.region) {
    const PixelRun& at = all_.runs_[static_cast<size_t>(strip)];
    image_ = at.image;
    first_ = at.row * run.shape.output[1] + at.column;
    left_ = at.length;
    if (!copy_) x_ = all_.window(at.image, at.row, at.column);
    seen = all_.columns_of(at) * all_.layout_.pixel;
  } else {
    first_ = strip * run.shape.output[1];
    left_ = run.shape.output[1];
    if (!copy_) x_ = all_.window(image_, strip, 0);
    seen = all_.layout_.step[0] * all_.layout_.row;
  }
  if (!copy_) return;
  x_ = copy_;
  copy_ += seen;
}

}  // namespace reluflow
