#include "fixed/fixed_conv.h"

#include <algorithm>
#include <vector>

namespace reluflow {

namespace {

constexpr int64_t kBandPixels = 96;  // output pixels of one piece of work, at least
constexpr size_t kPieces = 12;       // pieces of work wanted, so that a few threads end together

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

BandLayout make_layout(const FixedConvRun& run) {
  BandLayout l{};
  l.copies = !lies_in_place(run);
  l.group_bytes = (run.conv.group_inputs + kQuad - 1) / kQuad * kQuad;
  l.pixel = l.copies ? l.group_bytes * run.conv.group : run.conv.inputs();
  const int64_t span = (run.conv.kernel[1] - 1) * run.conv.dilations[1] + 1;
  l.row = l.pixel *
          (l.copies ? (run.shape.output[1] - 1) * run.conv.strides[1] + span : run.shape.input[1]);
  l.step[0] = run.conv.strides[0];
  l.step[1] = run.conv.strides[1];
  return l;
}

struct Work {
  const FixedConvRun& run;
  const BandLayout& layout;
  const std::vector<int32_t>& offsets;
  const std::vector<FixedStore>& stores;

  /// Output rows [begin, end) of an image, times one block of output channels. `x` is the first
  /// byte of the window of row `begin`.
  void block(const uint8_t* x, int64_t image, int64_t begin, int64_t end, size_t number) const {
    const OutputBlock& b = run.code.blocks()[number];
    const int64_t width = run.shape.output[1];
    const int64_t outputs = run.conv.outputs;
    const uint8_t* pixels[kFixedPixels];
    const uint8_t* z[kFixedPixels];
    uint8_t* out[kFixedPixels];
    FixedTileArgs args{pixels,
                       offsets.data(),
                       run.set.weights.data() + b.weights,
                       run.code.quads(),
                       &stores[number],
                       b.lanes,
                       run.z ? z : nullptr,
                       out};
    x += b.group * layout.group_bytes;
    const int64_t count = (end - begin) * width;
    int64_t row = 0;
    int64_t column = 0;
    int64_t to = ((image * run.shape.output[0] + begin) * width) * outputs + b.first;
    for (int64_t p = 0; p < count;) {
      const int tile = static_cast<int>(std::min<int64_t>(kFixedPixels, count - p));
      for (int i = 0; i < tile; ++i, to += outputs) {
        pixels[i] = x + row * layout.step[0] * layout.row + column * layout.step[1] * layout.pixel;
        out[i] = run.y + to;
        z[i] = run.z ? run.z + to : nullptr;
        if (++column == width) {
          column = 0;
          ++row;
        }
      }
      run.kernels.fixed_tile(tile, b.vectors, args);
      p += tile;
    }
    if (run.table == nullptr) return;
    uint8_t* y = run.y + (image * run.shape.output[0] + begin) * width * outputs + b.first;
    for (int64_t p = 0; p < count; ++p)
      run.kernels.fixed_table(y + p * outputs, b.lanes, run.table);
  }
};

}  // namespace

Status run_fixed_conv(Runner& runner, const FixedConvRun& run) {
  const BandLayout layout = make_layout(run);
  std::vector<int32_t> offsets;
  for (int64_t c = 0; c < layout.group_bytes; c += kQuad) {
    for (int64_t i = 0; i < run.conv.kernel[0]; ++i) {
      for (int64_t j = 0; j < run.conv.kernel[1]; ++j) {
        offsets.push_back(static_cast<int32_t>(i * run.conv.dilations[0] * layout.row +
                                               j * run.conv.dilations[1] * layout.pixel + c));
      }
    }
  }
  const size_t blocks = run.code.blocks().size();
  std::vector<FixedStore> stores(blocks);
  for (size_t b = 0; b < blocks; ++b) make_store(run, run.code.blocks()[b], &stores[b]);
  const int64_t height = run.shape.output[0];
  const int64_t rows =
      std::min(height, (kBandPixels + run.shape.output[1] - 1) / run.shape.output[1]);
  const int64_t bands = (height + rows - 1) / rows;
  const size_t images = static_cast<size_t>(run.shape.batch);
  const size_t pieces = images * static_cast<size_t>(bands);
  const size_t parts = std::min(blocks, std::max<size_t>(1, kPieces / std::max<size_t>(1, pieces)));
  const Split split(blocks, parts);
  const Work work{run, layout, offsets, stores};
  bool missing = false;
  const auto item = [&](size_t i) {
    const size_t part = i % split.pieces;
    const int64_t band = static_cast<int64_t>(i / split.pieces) % bands;
    const int64_t image = static_cast<int64_t>(i / split.pieces) / bands;
    const int64_t begin = band * rows;
    const int64_t end = std::min(height, begin + rows);
    const uint8_t* x = run.x;
    const Scratch<uint8_t> copy(
        runner, layout.copies ? static_cast<size_t>(band_rows(run, rows) * layout.row) : 1);
    if (!copy) {
      missing = true;
      return;
    }
    if (layout.copies) {
      copy_band(run, layout, image, begin, end, copy.data());
      x = copy.data();
    } else {
      x += ((image * run.shape.input[0] + begin * layout.step[0] - run.shape.begin[0]) *
                run.shape.input[1] -
            run.shape.begin[1]) *
           layout.pixel;
    }
    for (size_t b = split.begin(part); b < split.end(part); ++b)
      work.block(x, image, begin, end, b);
  };
  parallel_for(runner, pieces * split.pieces, item);
  if (missing) return Status("memory for the padded input is missing; give a smaller input.");
  return {};
}

}  // namespace reluflow
