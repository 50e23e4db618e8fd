#include "fixed16/depthwise16.h"

#include <algorithm>
#include <vector>

namespace reluflow {

namespace {

constexpr int64_t kBandRows = 8;       // output rows of one piece of work
constexpr int64_t kPiecePixels = 256;  // of a region, at least

/// Output columns [begin, end) whose windows lie within the image from left to right.
struct Inner {
  int64_t begin;
  int64_t end;

  Inner(int64_t first, int64_t last) : begin(first), end(last) {}
  explicit Inner(const Run16& run) {
    const int64_t stride = run.conv.strides[1];
    const int64_t span = (run.conv.kernel[1] - 1) * run.conv.dilations[1];
    const int64_t last = run.shape.input[1] - 1 - span + run.shape.begin[1];
    begin = std::min(run.shape.output[1],
                     std::max<int64_t>(0, (run.shape.begin[1] + stride - 1) / stride));
    end = last < 0 ? begin : std::clamp(last / stride + 1, begin, run.shape.output[1]);
  }
};

struct Work {
  const Run16& run;
  const Aligned<Fixed16Store>& stores;
  const int16_t* zeros;  // as long as a row of pixels
  Inner inner;

  /// Output pixels [begin, end) of a row; all of them see as many pixels outside as the first.
  /// `bound`: of the weights' runs.
  void pixels(int64_t image, int64_t row, int64_t begin, int64_t end, size_t bound,
              std::vector<const int16_t*>& taps) const {
    const int64_t inputs = run.conv.inputs();
    size_t t = 0;
    for (int64_t i = 0; i < run.conv.kernel[0]; ++i) {
      const int64_t y = row * run.conv.strides[0] - run.shape.begin[0] + i * run.conv.dilations[0];
      for (int64_t j = 0; j < run.conv.kernel[1]; ++j) {
        const int64_t x =
            begin * run.conv.strides[1] - run.shape.begin[1] + j * run.conv.dilations[1];
        const bool inside = y >= 0 && x >= 0 && y < run.shape.input[0] && x < run.shape.input[1];
        const int64_t pixel = (image * run.shape.input[0] + y) * run.shape.input[1] + x;
        taps[t++] = inside ? run.x + pixel * inputs : zeros;
      }
    }
    if (t < taps.size()) taps[t] = zeros;
    const int64_t to = ((image * run.shape.output[0] + row) * run.shape.output[1] + begin) * inputs;
    const int64_t pairs = static_cast<int64_t>(taps.size() / 2);
    const int16_t* weights = run.set->arranged.data();
    for (size_t b = 0; b < stores.size(); ++b, weights += pairs * 2 * kTileLanes) {
      const OutputBlock& block = run.weights.lanes().blocks()[b];
      const std::vector<int64_t>& ends = run.weights.sums(b).runs[bound];
      run.kernels.fixed16_depthwise(
          {taps.data(), block.first, run.conv.strides[1] * inputs, pairs, ends.data(),
           static_cast<int64_t>(ends.size()), weights, &stores[b], block.lanes, end - begin,
           run.z ? run.z + to + block.first : nullptr, run.y + to + block.first, inputs});
    }
  }

  /// Output pixels of a row, whatever they see.
  void stretch(const PixelRun& at, size_t bound, std::vector<const int16_t*>& taps) const {
    const int64_t end = at.column + at.length;
    const auto some = [&](int64_t from, int64_t to) {
      pixels(at.image, at.row, from, to, bound, taps);
    };
    const Inner within{std::clamp(inner.begin, at.column, end),
                       std::clamp(inner.end, at.column, end)};
    for (int64_t c = at.column; c < within.begin; ++c) some(c, c + 1);
    if (within.begin < within.end) some(within.begin, within.end);
    for (int64_t c = within.end; c < end; ++c) some(c, c + 1);
  }

  std::vector<const int16_t*> taps() const {
    return std::vector<const int16_t*>(static_cast<size_t>((run.conv.taps() + 1) / 2 * 2));
  }

  /// Widens `range` by what the windows of a run see.
  void see(const PixelRun& at, Range16* range) const {
    const int64_t first = at.column * run.conv.strides[1] - run.shape.begin[1];
    const int64_t last = first + (at.length - 1) * run.conv.strides[1] +
                         (run.conv.kernel[1] - 1) * run.conv.dilations[1];
    const int64_t begin = std::max<int64_t>(first, 0);
    const int64_t end = std::min(last + 1, run.shape.input[1]);
    if (begin >= end) return;
    for (int64_t k = 0; k < run.conv.kernel[0]; ++k) {
      const int64_t y =
          at.row * run.conv.strides[0] - run.shape.begin[0] + k * run.conv.dilations[0];
      if (y < 0 || y >= run.shape.input[0]) continue;
      const int64_t pixel = (at.image * run.shape.input[0] + y) * run.shape.input[1] + begin;
      widen(run.kernels.fixed16_range(run.x + pixel * run.conv.inputs(),
                                      (end - begin) * run.conv.inputs()),
            range);
    }
  }
};

void run_bands(Runner& runner, const Work& work, Largest* largest) {
  const Run16& run = work.run;
  const int64_t height = run.shape.output[0];
  const int64_t bands = (height + kBandRows - 1) / kBandRows;
  const auto item = [&](size_t i) {
    const int64_t image = static_cast<int64_t>(i) / bands;
    const int64_t begin = static_cast<int64_t>(i) % bands * kBandRows;
    const int64_t end = std::min(height, begin + kBandRows);
    std::vector<const int16_t*> taps = work.taps();
    Range16 range;
    if (!largest->see(run, image, rows_seen(run, begin, end), &range)) return;
    const size_t bound = run.weights.bound_of(range);
    for (int64_t r = begin; r < end; ++r) {
      work.stretch({image, r, 0, run.shape.output[1]}, bound, taps);
    }
  };
  parallel_for(runner, static_cast<size_t>(run.shape.batch * bands), item);
}

void run_pieces(Runner& runner, const Work& work, Largest* largest) {
  const Run16& run = work.run;
  const std::vector<PixelRun>& runs = run.region->runs();
  const std::vector<size_t> begins = run.region->pieces(kPiecePixels);
  parallel_for(runner, begins.size() - 1, [&](size_t i) {
    Range16 range{0, 0};
    for (size_t r = begins[i]; r < begins[i + 1]; ++r) work.see(runs[r], &range);
    if (!largest->add(run.psb, range)) return;
    const size_t bound = run.weights.bound_of(range);
    std::vector<const int16_t*> taps = work.taps();
    for (size_t r = begins[i]; r < begins[i + 1]; ++r) work.stretch(runs[r], bound, taps);
  });
}

}  // namespace

Status run_depthwise16(Runner& runner, const Run16& run) {
  const size_t zeros = static_cast<size_t>(((run.shape.output[1] - 1) * run.conv.strides[1] + 1) *
                                           run.conv.inputs());
  const Scratch<int16_t> nothing(runner, zeros);
  if (!nothing) return Status("memory for the padding is missing; give a smaller input.");
  std::fill(nothing.data(), nothing.data() + zeros, int16_t{0});
  const Work work{run, run.stores.stores, nothing.data(), Inner(run)};
  Largest largest;
  if (run.region) {
    run_pieces(runner, work, &largest);
  } else {
    run_bands(runner, work, &largest);
  }
  return largest.check(run.psb);
}

}  // namespace reluflow
