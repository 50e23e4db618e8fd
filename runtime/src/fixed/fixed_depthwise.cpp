#include "fixed/fixed_depthwise.h"

#include <algorithm>
#include <atomic>

namespace reluflow {

namespace {

constexpr int64_t kBandRows = 8;     // output rows of one piece of work
constexpr int64_t kSparePixels = 8;  // behind the last row: a kernel reads whole quads of columns

struct Work {
  const FixedConvRun& run;
  const BandLayout& layout;
  FixedColumns columns;

  /// One output row of a band copied to `x`, number `row` within it, times one block of channels.
  void row(const uint8_t* x, int64_t row, int64_t to, size_t number) const {
    const OutputBlock& block = run.code.blocks()[number];
    FixedDepthwiseArgs args{};
    args.x = x + row * layout.step[0] * layout.row + block.first;
    args.row = layout.row * run.conv.dilations[0];
    args.pixel = layout.pixel;
    args.tap = layout.pixel * run.conv.dilations[1];
    args.step = layout.pixel * layout.step[1];
    args.kernel_rows = static_cast<int>(run.conv.kernel[0]);
    args.kernel_columns = static_cast<int>(run.conv.kernel[1]);
    args.weights = run.set->weights.data() + block.weights;
    args.columns = columns;
    if (columns.quads > 0) {
      const int64_t bytes =
          run.conv.kernel[0] * columns.outputs * columns.quads * kQuad * kTileLanes;
      args.arranged = run.set->arranged.data() + static_cast<int64_t>(number) * bytes;
      args.permuted = &run.stores.permuted[number];
    }
    args.store = &run.stores.of(number);
    args.lanes = block.lanes;
    args.width = run.shape.output[1];
    args.z = run.z ? run.z + to + block.first : nullptr;
    args.out = run.y + to + block.first;
    args.out_step = run.conv.outputs;
    run.kernels.fixed_depthwise(args);
  }
};

}  // namespace

Status run_fixed_depthwise(Runner& runner, const FixedConvRun& run, FixedColumns columns) {
  const size_t blocks = run.code.blocks().size();
  BandLayout layout{};
  layout.copies = true;
  layout.group_bytes = run.conv.inputs();
  layout.pixel = run.conv.inputs();
  layout.row = layout.pixel * ((run.shape.output[1] - 1) * run.conv.strides[1] +
                               (run.conv.kernel[1] - 1) * run.conv.dilations[1] + 1);
  layout.step[0] = run.conv.strides[0];
  layout.step[1] = run.conv.strides[1];
  const int64_t height = run.shape.output[0];
  const int64_t rows = std::min(height, kBandRows);
  const int64_t bands = (height + rows - 1) / rows;
  const size_t bytes =
      static_cast<size_t>(band_rows(run, rows) * layout.row + kSparePixels * layout.pixel);
  const Work work{run, layout, columns};
  std::atomic<bool> missing{false};
  const auto item = [&](size_t i) {
    const int64_t band = static_cast<int64_t>(i) % bands;
    const int64_t image = static_cast<int64_t>(i) / bands;
    const int64_t begin = band * rows;
    const int64_t end = std::min(height, begin + rows);
    const Scratch<uint8_t> copy(runner, bytes);
    if (!copy) {
      missing = true;
      return;
    }
    copy_band(run, layout, image, begin, end, copy.data());
    for (int64_t r = begin; r < end; ++r) {
      const int64_t to = (image * height + r) * run.shape.output[1] * run.conv.outputs;
      for (size_t b = 0; b < blocks; ++b) work.row(copy.data(), r - begin, to, b);
      if (run.table) {
        run.kernels.fixed_table(run.y + to, run.shape.output[1] * run.conv.outputs, run.table);
      }
    }
  };
  parallel_for(runner, static_cast<size_t>(run.shape.batch * bands), item);
  if (missing) return Status("memory for the padded input is missing; give a smaller input.");
  return {};
}

}  // namespace reluflow
