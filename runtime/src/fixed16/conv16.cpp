#include "fixed16/conv16.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace reluflow {

namespace {

constexpr int64_t kBandPixels = 98;  // output pixels of one piece of work, at least
constexpr size_t kPieces = 12;       // pieces of work wanted, so that a few threads end together

/// Where the pixels of an image lie for its windows: in place, or copied with their padding.
struct Layout16 {
  bool copies;
  int64_t row;      ///< elements from one row to the next
  int64_t columns;  ///< pixels of a copied row

  explicit Layout16(const Run16& run) : copies(!lies_in_place(run)) {
    columns = (run.shape.output[1] - 1) * run.conv.strides[1] +
              (run.conv.kernel[1] - 1) * run.conv.dilations[1] + 1;
    row = run.conv.inputs() * (copies ? columns : run.shape.input[1]);
  }

 private:
  /// An odd number of channels is copied: its last pair reads one value more.
  static bool lies_in_place(const Run16& run) {
    if (run.conv.group_inputs % 2 != 0) return false;
    for (int axis = 0; axis < 2; ++axis) {
      const int64_t last = (run.shape.output[axis] - 1) * run.conv.strides[axis] +
                           (run.conv.kernel[axis] - 1) * run.conv.dilations[axis] -
                           run.shape.begin[axis];
      if (run.shape.begin[axis] != 0 || last >= run.shape.input[axis]) return false;
    }
    return true;
  }
};

/// Rows of pixels that the windows of `rows` output rows see, inside the image or not.
int64_t band_rows(const Run16& run, int64_t rows) {
  return (rows - 1) * run.conv.strides[0] + (run.conv.kernel[0] - 1) * run.conv.dilations[0] + 1;
}

/// Copies what the windows of output rows [begin, end) see; values outside are 0.
void copy_band(const Run16& run, const Layout16& layout, int64_t image, int64_t begin, int64_t end,
               int16_t* out) {
  const int64_t pixel = run.conv.inputs();
  const int64_t rows = band_rows(run, end - begin);
  const int64_t first = std::clamp<int64_t>(run.shape.begin[1], 0, layout.columns);
  const int64_t from = std::max<int64_t>(-run.shape.begin[1], 0);
  const int64_t count =
      std::max<int64_t>(0, std::min(layout.columns - first, run.shape.input[1] - from));
  const auto clear = [&](int16_t* to, int64_t values) {
    std::memset(to, 0, static_cast<size_t>(values) * sizeof *to);
  };
  for (int64_t r = 0; r < rows; ++r, out += layout.row) {
    const int64_t at = begin * run.conv.strides[0] + r - run.shape.begin[0];
    if (at < 0 || at >= run.shape.input[0] || count == 0) {
      clear(out, layout.row);
      continue;
    }
    clear(out, first * pixel);
    std::memcpy(out + first * pixel,
                run.x + ((image * run.shape.input[0] + at) * run.shape.input[1] + from) * pixel,
                static_cast<size_t>(count * pixel) * sizeof *out);
    clear(out + (first + count) * pixel, (layout.columns - first - count) * pixel);
  }
  *out = 0;  // what the last pair of an odd number of channels reads
}

/// Byte offset of each pair from the first value of a window.
std::vector<int64_t> pair_offsets(const Run16& run, const Layout16& layout) {
  std::vector<int64_t> offsets;
  for (const WeightPair& pair : run.weights.lanes().order().pairs) {
    const int64_t tap = pair.low % run.conv.taps();
    const int64_t at = tap / run.conv.kernel[1] * run.conv.dilations[0] * layout.row +
                       tap % run.conv.kernel[1] * run.conv.dilations[1] * run.conv.inputs() +
                       pair.low / run.conv.taps();
    offsets.push_back(at * static_cast<int64_t>(sizeof(int16_t)));
  }
  return offsets;
}

struct Work {
  const Run16& run;
  const Layout16& layout;
  const std::vector<int64_t>& offsets;
  const std::vector<Fixed16Store>& stores;

  /// Output rows [begin, end) of an image, times one block of output channels. `x` is the first
  /// value of the window of row `begin`.
  void block(const int16_t* x, int64_t image, int64_t begin, int64_t end, size_t number) const {
    const OutputBlock& b = run.weights.lanes().blocks()[number];
    const int64_t width = run.shape.output[1];
    const int64_t outputs = run.conv.outputs;
    const char* pixels[kMaxPixels];
    const int16_t* z[kMaxPixels];
    int16_t* out[kMaxPixels];
    x += b.group * run.conv.group_inputs;
    const int64_t count = (end - begin) * width;
    int64_t row = 0;
    int64_t column = 0;
    int64_t to = (image * run.shape.output[0] + begin) * width * outputs + b.first;
    for (int64_t p = 0; p < count;) {
      const int tile = static_cast<int>(std::min<int64_t>(run.kernels.tile_pixels, count - p));
      for (int i = 0; i < tile; ++i, to += outputs) {
        const int64_t at = row * run.conv.strides[0] * layout.row +
                           column * run.conv.strides[1] * run.conv.inputs();
        pixels[i] = reinterpret_cast<const char*>(x + at);
        out[i] = run.y + to;
        z[i] = run.z ? run.z + to : nullptr;
        if (++column == width) {
          column = 0;
          ++row;
        }
      }
      sum(pixels, tile, number,
          {&stores[number], nullptr, nullptr, tile, b.lanes, run.z ? z : nullptr, out});
      p += tile;
    }
  }

  /// One tile: run by run of its pairs, each exact.
  void sum(const char* const* pixels, int tile, size_t number, Fixed16StoreArgs store) const {
    const OutputBlock& b = run.weights.lanes().blocks()[number];
    const ExactRuns& runs = run.weights.runs()[number];
    alignas(64) int32_t raw[kMaxPixels * kTileLanes];
    alignas(64) int32_t low[kMaxPixels * kTileLanes];
    alignas(64) int32_t high[kMaxPixels * kTileLanes];
    int64_t from = 0;
    for (const int64_t end : runs.ends) {
      const int16_t* weights = run.set.weights.data() + b.weights + from * 2 * kLanes * b.vectors;
      run.kernels.tile(tile, b.vectors,
                       {pixels, offsets.data() + from, weights, end - from, kTileRaw, raw});
      if (runs.wide) run.kernels.fixed16_widen(raw, tile, from == 0, low, high);
      from = end;
    }
    store.sums = runs.wide ? low : raw;
    store.high = runs.wide ? high : nullptr;
    run.kernels.fixed16_store(store);
  }
};

}  // namespace

Status run_conv16(Runner& runner, const Run16& run) {
  const Layout16 layout(run);
  const std::vector<int64_t> offsets = pair_offsets(run, layout);
  const std::vector<OutputBlock>& all = run.weights.lanes().blocks();
  int natural[kTileLanes];
  for (int lane = 0; lane < kTileLanes; ++lane) natural[lane] = lane;
  std::vector<Fixed16Store> stores(all.size());
  for (size_t b = 0; b < all.size(); ++b) {
    make_store16(run, all[b], run.weights.runs()[b].wide, natural, &stores[b]);
  }
  const int64_t height = run.shape.output[0];
  const int64_t rows =
      std::min(height, (kBandPixels + run.shape.output[1] - 1) / run.shape.output[1]);
  const int64_t bands = (height + rows - 1) / rows;
  const size_t pieces = static_cast<size_t>(run.shape.batch * bands);
  const size_t parts =
      std::min(all.size(), std::max<size_t>(1, kPieces / std::max<size_t>(1, pieces)));
  const Split split(all.size(), parts);
  const Work work{run, layout, offsets, stores};
  Largest largest;
  std::atomic<bool> missing{false};
  const auto item = [&](size_t i) {
    const size_t part = i % split.pieces;
    const int64_t band = static_cast<int64_t>(i / split.pieces) % bands;
    const int64_t image = static_cast<int64_t>(i / split.pieces) / bands;
    const int64_t begin = band * rows;
    const int64_t end = std::min(height, begin + rows);
    const Scratch<int16_t> copy(
        runner, layout.copies ? static_cast<size_t>(band_rows(run, rows) * layout.row + 1) : 1);
    if (!copy) {
      missing = true;
      return;
    }
    largest.see(run, image, rows_seen(run, begin, end));
    const int16_t* x =
        run.x + (image * run.shape.input[0] + begin * run.conv.strides[0]) * layout.row;
    if (layout.copies) {
      copy_band(run, layout, image, begin, end, copy.data());
      x = copy.data();
    }
    for (size_t b = split.begin(part); b < split.end(part); ++b)
      work.block(x, image, begin, end, b);
  };
  parallel_for(runner, pieces * split.pieces, item);
  if (missing) return Status("memory for the padded input is missing; give a smaller input.");
  return largest.check(run.psb);
}

}  // namespace reluflow
