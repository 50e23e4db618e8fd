#include "fixed/fixed_depthwise.h"

#include <algorithm>
#include <vector>

namespace reluflow {

namespace {

constexpr int64_t kBandRows = 8;     // output rows of one piece of work
constexpr int64_t kSparePixels = 8;  // behind the last row: a kernel reads whole quads of columns

/// A store whose lanes stand in order of `depthwise_channel`.
FixedStore permuted(const FixedStore& store) {
  FixedStore out = store;
  for (int v = 0; v < 4; ++v) {
    for (int i = 0; i < kLanes; ++i) {
      const int to = v * kLanes + i;
      const int from = depthwise_channel(v, i);
      out.add[to] = store.add[from];
      out.shift[to] = store.shift[from];
      out.z_shift[to] = store.z_shift[from];
      out.before[to] = store.before[from];
      out.most[to] = store.most[from];
      out.up[to] = store.up[from];
      out.down[to] = store.down[from];
    }
  }
  return out;
}

struct Work {
  const FixedConvRun& run;
  const BandLayout& layout;
  const std::vector<FixedStore>& stores;
  const std::vector<FixedStore>& permuted;
  FixedColumns columns;

  /// One output row of a band copied to `x`, number `row` within it, times one block of channels.
  void row(const uint8_t* x, int64_t row, int64_t to, size_t number) const {
    const OutputBlock& block = run.code.blocks()[number];
    const int64_t taps = run.conv.taps();
    FixedDepthwiseArgs args{};
    args.x = x + row * layout.step[0] * layout.row + block.first;
    args.row = layout.row * run.conv.dilations[0];
    args.pixel = layout.pixel;
    args.tap = layout.pixel * run.conv.dilations[1];
    args.step = layout.pixel * layout.step[1];
    args.kernel_rows = static_cast<int>(run.conv.kernel[0]);
    args.kernel_columns = static_cast<int>(run.conv.kernel[1]);
    const int64_t at = static_cast<int64_t>(number);
    args.weights = run.set.taps.data() + at * taps * kTileLanes;
    args.columns = columns;
    if (columns.quads > 0) {
      args.arranged = run.set.arranged.data() +
                      at * run.conv.kernel[0] * columns.outputs * columns.quads * 4 * kTileLanes;
    }
    args.store = &stores[number];
    args.permuted = &permuted[number];
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
  std::vector<FixedStore> stores(blocks);
  std::vector<FixedStore> orders(blocks);
  for (size_t b = 0; b < blocks; ++b) {
    make_store(run, run.code.blocks()[b], &stores[b]);
    orders[b] = permuted(stores[b]);
  }
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
  const Work work{run, layout, stores, orders, columns};
  bool missing = false;
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
