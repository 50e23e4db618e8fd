#include "depthwise.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "activations.h"

namespace reluflow {

namespace {

constexpr int64_t kBandWords = 4096;  // words of a band: half a first cache
constexpr int64_t kSpareWords = 64;   // words behind a band that a kernel may read
constexpr int64_t kMaxProducts = 2 * kBlockPairs;

/// Which two pixels share a word.
enum class Pairing {
  kRows,     ///< those of two neighbouring rows: stride 1
  kColumns,  ///< two neighbours of a row: a column stride of 2
  kNone      ///< one pixel a word: any stride and dilation
};

/// Where the words of an output row lie, and which weights they meet.
struct Plan {
  Pairing pairing;
  int64_t rows_at_once = 1;  ///< output rows that share their words
  int64_t row_words;         ///< words of a packed row
  int64_t window_rows;       ///< packed rows that one pass needs
  int64_t pass_step = 1;     ///< packed rows from one pass to the next
  std::vector<int64_t> offsets;
  /// `[rows_at_once][offsets]`: tap numbers of the low and the high half, or -1.
  std::vector<int64_t> low;
  std::vector<int64_t> high;

  explicit Plan(const ConvRun& run);

  int64_t passes(int64_t rows) const { return (rows + rows_at_once - 1) / rows_at_once; }
  int64_t packed_rows(int64_t rows) const { return (passes(rows) - 1) * pass_step + window_rows; }

 private:
  void pair_rows(const ConvRun& run);
  void pair_columns(const ConvRun& run);
  void pair_nothing(const ConvRun& run);
};

Plan::Plan(const ConvRun& run) {
  const ConvSpec& conv = run.conv;
  if (conv.strides[0] == 1 && conv.strides[1] == 1 && conv.dilations[0] == 1) {
    pair_rows(run);
  } else if (conv.strides[1] == 2 && conv.dilations[1] == 1) {
    pair_columns(run);
  } else {
    pair_nothing(run);
  }
}

/// Packed row r holds rows 2 r and 2 r + 1 of the padded input.
void Plan::pair_rows(const ConvRun& run) {
  const int64_t height = run.conv.kernel[0];
  const int64_t width = run.conv.kernel[1];
  pairing = Pairing::kRows;
  rows_at_once = 2;
  row_words = run.shape.output[1] + (width - 1) * run.conv.dilations[1];
  window_rows = height / 2 + 1;
  const auto tap = [&](int64_t ky, int64_t kx) {
    return ky >= 0 && ky < height ? ky * width + kx : -1;
  };
  for (int64_t odd = 0; odd < 2; ++odd) {
    for (int64_t r = 0; r < window_rows; ++r) {
      for (int64_t kx = 0; kx < width; ++kx) {
        if (!odd) offsets.push_back(r * row_words + kx * run.conv.dilations[1]);
        low.push_back(tap(2 * r - odd, kx));
        high.push_back(tap(2 * r + 1 - odd, kx));
      }
    }
  }
}

/// Word i of a packed row holds columns 2 i and 2 i + 1 of the padded input.
void Plan::pair_columns(const ConvRun& run) {
  const int64_t width = run.conv.kernel[1];
  pairing = Pairing::kColumns;
  row_words = run.shape.output[1] + (width + 1) / 2 - 1;
  window_rows = (run.conv.kernel[0] - 1) * run.conv.dilations[0] + 1;
  pass_step = run.conv.strides[0];
  for (int64_t ky = 0; ky < run.conv.kernel[0]; ++ky) {
    for (int64_t kx = 0; kx < width; kx += 2) {
      offsets.push_back(ky * run.conv.dilations[0] * row_words + kx / 2);
      low.push_back(ky * width + kx);
      high.push_back(kx + 1 < width ? ky * width + kx + 1 : -1);
    }
  }
}

void Plan::pair_nothing(const ConvRun& run) {
  pairing = Pairing::kNone;
  row_words = (run.shape.output[1] - 1) * run.conv.strides[1] +
              (run.conv.kernel[1] - 1) * run.conv.dilations[1] + 1;
  window_rows = (run.conv.kernel[0] - 1) * run.conv.dilations[0] + 1;
  pass_step = run.conv.strides[0];
  for (int64_t t = 0; t < run.conv.taps(); ++t) {
    offsets.push_back(t / run.conv.kernel[1] * run.conv.dilations[0] * row_words +
                      t % run.conv.kernel[1] * run.conv.dilations[1]);
    low.push_back(t);
    high.push_back(-1);
  }
}

struct DepthwiseWork {
  const ConvRun& run;
  const Plan& plan;
  const int16_t* weights;
  int f;

  /// Output rows [begin, end) of all channels of one group of an image, by way of `packed`.
  void band(int64_t image, int64_t group, int64_t begin, int64_t end, int32_t* packed) const {
    const ConvShape& shape = run.shape;
    const float* x =
        run.x + (image * run.conv.group + group) * shape.input[0] * shape.input[1];
    pack(x, begin, plan.packed_rows(end - begin), packed);
    const int64_t per_group = run.conv.outputs / run.conv.group;
    for (int64_t m = group * per_group; m < (group + 1) * per_group; ++m) {
      alignas(64) int32_t pairs[kMaxProducts];
      pair_weights(m, pairs);
      DepthwiseArgs d = args(m);
      d.words = packed;
      d.weights = pairs;
      d.height = end - begin;
      d.out = run.y + ((image * run.conv.outputs + m) * shape.output[0] + begin) * d.width;
      run.kernels.depthwise(d);
    }
  }

 private:
  /// A row of the input of one channel, or null where the padding is.
  const float* input_row(const float* x, int64_t padded) const {
    const int64_t row = padded - run.shape.begin[0];
    return row >= 0 && row < run.shape.input[0] ? x + row * run.shape.input[1] : nullptr;
  }

  /// The packed rows of the output rows from `begin` on.
  void pack(const float* x, int64_t begin, int64_t rows, int32_t* packed) const {
    PackWordsArgs p{};
    p.pad = run.shape.begin[1];
    p.width = run.shape.input[1];
    p.n = plan.row_words;
    p.scale = power_of_two(f);
    p.limit = static_cast<float>(run.psb.limit());
    for (int64_t r = 0; r < rows; ++r) {
      p.out = packed + r * plan.row_words;
      if (plan.pairing == Pairing::kRows) {
        p.a = input_row(x, begin + 2 * r);
        p.b = input_row(x, begin + 2 * r + 1);
      } else {
        p.a = input_row(x, begin * run.conv.strides[0] + r);
      }
      (plan.pairing == Pairing::kColumns ? run.kernels.pack_neighbours
                                         : run.kernels.pack_words)(p);
    }
  }

  /// The weights that meet each word of output channel m.
  void pair_weights(int64_t m, int32_t* pairs) const {
    const OutputBlock& block = run.weights.lanes().blocks()[static_cast<size_t>(m / kTileLanes)];
    const int16_t* first = weights + block.weights + 2 * (m % kTileLanes);
    const int64_t step = int64_t{2} * kLanes * block.vectors;
    const auto weight = [&](int64_t tap) {
      return tap < 0 ? uint32_t{0} : static_cast<uint16_t>(first[tap * step]);
    };
    for (size_t i = 0; i < plan.low.size(); ++i) {
      pairs[i] = static_cast<int32_t>(weight(plan.low[i]) | weight(plan.high[i]) << 16);
    }
  }

  DepthwiseArgs args(int64_t m) const {
    const Scale scale = channel_scale(run.emax[m], run.precision, f);
    DepthwiseArgs d{};
    d.offsets = plan.offsets.data();
    d.n = static_cast<int64_t>(plan.offsets.size());
    d.rows = static_cast<int>(plan.rows_at_once);
    d.pass_step = plan.pass_step * plan.row_words;
    d.column_step = plan.pairing == Pairing::kNone ? run.conv.strides[1] : 1;
    d.width = run.shape.output[1];
    d.scale_a = scale.a;
    d.scale_b = scale.b;
    d.bias = run.bias ? run.bias + m : nullptr;
    d.clips = run.psb.activation != Activation::kNone;
    d.low = run.psb.low();
    d.high = run.psb.high();
    return d;
  }
};

/// Output rows of a band: as many as fit, at least those of one pass.
int64_t band_rows(const Plan& plan) {
  const int64_t spare = kBandWords / plan.row_words - plan.window_rows;
  return (spare < 0 ? 1 : spare / plan.pass_step + 1) * plan.rows_at_once;
}

}  // namespace

Status run_depthwise(Runner& runner, const ConvRun& run, const int16_t* weights, int f) {
  const Plan plan(run);
  const DepthwiseWork work{run, plan, weights, f};
  const int64_t groups = run.conv.group;
  const int64_t height = run.shape.output[0];
  const int64_t passes = plan.passes(height);
  const int64_t at_most = band_rows(plan) / plan.rows_at_once;
  const Split bands(static_cast<size_t>(passes), static_cast<size_t>((passes - 1) / at_most + 1));
  const size_t all = static_cast<size_t>(run.shape.batch * groups) * bands.pieces;
  const size_t pixels = static_cast<size_t>(run.shape.pixels()) / bands.pieces + 1;
  // Rows that are too long for the band get memory of their own, one piece a range.
  const int64_t needed = plan.window_rows * plan.row_words;
  const bool is_long = needed > kBandWords;
  const size_t piece = static_cast<size_t>(needed + kSpareWords);
  const Split split(all, is_long ? 16 : all * pixels / 8192 + 1);
  const Scratch<int32_t> rows(runner, is_long ? split.pieces * piece : size_t{0});
  if (!rows) return Status("memory for the packed input is missing; give a smaller input.");
  auto item = [&](size_t i) {
    alignas(64) int32_t band[kBandWords + kSpareWords];
    int32_t* packed = is_long ? rows.data() + i * piece : band;
    for (size_t at = split.begin(i); at < split.end(i); ++at) {
      const int64_t plane = static_cast<int64_t>(at / bands.pieces);
      const size_t b = at % bands.pieces;
      const int64_t begin = static_cast<int64_t>(bands.begin(b)) * plan.rows_at_once;
      const int64_t end = static_cast<int64_t>(bands.end(b)) * plan.rows_at_once;
      work.band(plane / groups, plane % groups, begin, std::min(end, height), packed);
    }
  };
  parallel_for(runner, split.pieces, item);
  return {};
}

}  // namespace reluflow
