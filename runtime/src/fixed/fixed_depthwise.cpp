#include "fixed/fixed_depthwise.h"

#include <algorithm>
#include <atomic>
#include <vector>

namespace reluflow {

namespace {

constexpr int64_t kBandRows = 8;     // output rows of one piece of work
constexpr int64_t kRunPixels = 256;  // output pixels of a region in one piece of work, at least
constexpr int64_t kSparePixels = 8;  // behind the last row: a kernel reads whole quads of columns

/// Neighbouring output pixels of a row.
struct Strip {
  const uint8_t* x;  // the first window
  int64_t tap_row;   // bytes from one row of taps to the next
  int64_t first;     // output pixel
  int64_t width;
};

struct Work {
  const FixedConvRun& run;
  const BandLayout& layout;
  FixedColumns columns;

  /// A strip times all blocks of channels.
  void sum(const Strip& strip) const {
    const int64_t to = strip.first * run.conv.outputs;
    for (size_t b = 0; b < run.code.blocks().size(); ++b) sum(strip, to, b);
    if (run.table) {
      run.kernels.fixed_table(run.y + to, strip.width * run.conv.outputs, run.table);
    }
  }

 private:
  void sum(const Strip& strip, int64_t to, size_t number) const {
    const OutputBlock& block = run.code.blocks()[number];
    FixedDepthwiseArgs args{};
    args.x = strip.x + block.first;
    args.row = strip.tap_row;
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
    args.width = strip.width;
    args.z = run.z ? run.z + to + block.first : nullptr;
    args.out = run.y + to + block.first;
    args.out_step = run.conv.outputs;
    run.kernels.fixed_depthwise(args);
  }
};

Status no_memory() {
  return Status("memory for the padded input is missing; give a smaller input.");
}

/// The strip of a run where all that a kernel reads lies in the input; else without x.
Strip in_place(const Work& work, const PixelRun& at) {
  const FixedConvRun& run = work.run;
  const ConvShape& shape = run.shape;
  const int64_t top = at.row * run.conv.strides[0] - shape.begin[0];
  const int64_t left = at.column * run.conv.strides[1] - shape.begin[1];
  const int64_t bottom = top + (run.conv.kernel[0] - 1) * run.conv.dilations[0];
  const int64_t right = left + (at.length - 1) * run.conv.strides[1] +
                        (run.conv.kernel[1] - 1) * run.conv.dilations[1];
  const int64_t width = shape.input[1];
  const int64_t line = at.image * shape.input[0];
  const bool inside = sees_no_padding(run, at) && (line + bottom) * width + right + kSparePixels <
                                                      shape.batch * shape.input[0] * width;
  const uint8_t* x = run.x + ((line + top) * width + left) * work.layout.pixel;
  return {inside ? x : nullptr, width * work.layout.pixel * run.conv.dilations[0],
          run.region->first(at), at.length};
}

/// Runs of a region; those at a rim are copied with their padding.
Status run_by_runs(Runner& runner, const Work& work, size_t bytes) {
  const Region& region = *work.run.region;
  const std::vector<size_t> begins = region.pieces(kRunPixels);
  std::atomic<bool> missing{false};
  parallel_for(runner, begins.size() - 1, [&](size_t i) {
    const Scratch<uint8_t> copy(runner, bytes);
    if (!copy) {
      missing = true;
      return;
    }
    for (size_t r = begins[i]; r < begins[i + 1]; ++r) {
      Strip strip = in_place(work, region.runs()[r]);
      if (!strip.x) {
        copy_run(work.run, work.layout, region.runs()[r], copy.data());
        strip.x = copy.data();
        strip.tap_row = work.layout.row;
      }
      work.sum(strip);
    }
  });
  return missing ? no_memory() : Status();
}

/// Bands of rows, copied with their padding.
Status run_by_bands(Runner& runner, const Work& work, int64_t rows, size_t bytes) {
  const FixedConvRun& run = work.run;
  const BandLayout& layout = work.layout;
  const int64_t height = run.shape.output[0];
  const int64_t bands = (height + rows - 1) / rows;
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
      work.sum({copy.data() + (r - begin) * layout.step[0] * layout.row,
                layout.row * run.conv.dilations[0], (image * height + r) * run.shape.output[1],
                run.shape.output[1]});
    }
  };
  parallel_for(runner, static_cast<size_t>(run.shape.batch * bands), item);
  return missing ? no_memory() : Status();
}

}  // namespace

Status run_fixed_depthwise(Runner& runner, const FixedConvRun& run, FixedColumns columns) {
  const int64_t width = run.region ? kMostRun : run.shape.output[1];
  BandLayout layout{};
  layout.copies = true;
  layout.group_bytes = run.conv.inputs();
  layout.pixel = run.conv.inputs();
  layout.row = layout.pixel * ((width - 1) * run.conv.strides[1] +
                               (run.conv.kernel[1] - 1) * run.conv.dilations[1] + 1);
  layout.step[0] = run.conv.strides[0];
  layout.step[1] = run.conv.strides[1];
  const int64_t rows = std::min(run.shape.output[0], kBandRows);
  const int64_t copied = run.region ? run.conv.kernel[0] : band_rows(run, rows);
  const size_t bytes = static_cast<size_t>(copied * layout.row + kSparePixels * layout.pixel);
  const Work work{run, layout, columns};
  return run.region ? run_by_runs(runner, work, bytes) : run_by_bands(runner, work, rows, bytes);
}

}  // namespace reluflow
