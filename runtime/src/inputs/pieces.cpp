#include "inputs/pieces.h"

namespace reluflow {

namespace {

/// Packed columns of a piece beyond which no further run is taken: windows of wide steps or
/// dilations see so many that a piece would leave the cache. A choice, not measured.
constexpr int64_t kMostColumns = 2048;

}  // namespace

Pieces::Pieces(const ConvSpec& conv, const ConvShape& shape, const Region& region)
    : whole_(shape),
      region_(region),
      span_(shape.packed[1] - (shape.output[1] - 1) * shape.window_step[1]),
      rows_(conv),
      part_(shape),
      layout_(PackedLayout{rows_, part_, 0}),
      row_step_(conv.dilations[0]) {
  rows_.dilations[0] = 1;
  int64_t widest = 0;
  int64_t width = 0;
  const std::vector<PixelRun>& runs = region.runs();
  for (size_t r = 0; r < runs.size(); ++r) {
    const int64_t more = columns(runs[r]);
    if (pixels_.empty() || pixels_.back() >= kPixels || width + more > kMostColumns) {
      begins_.push_back(r);
      pixels_.push_back(0);
      width = 0;
    }
    pixels_.back() += runs[r].length;
    width += more;
    widest = std::max(widest, width);
  }
  begins_.push_back(runs.size());
  part_.packed[0] = conv.kernel[0];
  part_.packed[1] = widest;
  layout_.plane_stride = spread(part_.plane());
}

void Pieces::pack(size_t piece, const RowPacker& packer, const float* x, int32_t* out) const {
  const int64_t image = layout_.conv.inputs() * whole_.input[0] * whole_.input[1];
  for (int64_t plane = 0; plane < layout_.planes(); ++plane, out += layout_.plane_stride) {
    const RowPacker::Plane all = packer.plane(x, plane);
    int32_t* to = out;
    for (size_t r = begins_[piece]; r < begins_[piece + 1]; ++r) {
      const PixelRun& run = region_.runs()[r];
      const RowPacker::Plane from{all.low + run.image * image,
                                  all.high ? all.high + run.image * image : nullptr};
      const int64_t row = run.row * whole_.window_step[0];
      const int64_t first = run.column * whole_.window_step[1];
      for (int64_t k = 0; k < layout_.conv.kernel[0]; ++k) {
        packer.row(from, row + k * row_step_, first, columns(run), to + k * part_.packed[1]);
      }
      to += columns(run);
    }
  }
}

}  // namespace reluflow
