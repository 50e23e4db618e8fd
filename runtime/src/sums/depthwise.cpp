#include "sums/depthwise.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "inputs/activations.h"

namespace reluflow {

namespace {

constexpr int64_t kBandWords = 4096;  // words of a band: half a first-level cache
constexpr int64_t kSpareWords = 64;   // words after a band that a kernel may read
constexpr int64_t kRowUnit = 16;      // words of a row: a multiple of it
constexpr size_t kLongPieces = 16;    // each has memory for a row of any length, so they are few

/// Which two pixels share a word.
enum class Pairing {
  kRows,     ///< those of two neighbouring rows: stride 1
  kColumns,  ///< two neighbours of a row: a column stride of 2
  kNone      ///< one pixel per word: any stride and dilation
};

Pairing pairing_of(const ConvSpec& conv) {
  if (conv.strides[0] == 1 && conv.strides[1] == 1 && conv.dilations[0] == 1) return Pairing::kRows;
  if (conv.strides[1] == 2 && conv.dilations[1] == 1) return Pairing::kColumns;
  return Pairing::kNone;
}

/// Where the words of an output row lie, in the order of `depthwise_pairs`.
struct Plan {
  Pairing pairing;
  int64_t rows_at_once = 1;  ///< output rows that share their words
  int64_t row_words = 0;     ///< words of a packed row
  int64_t window_rows = 0;   ///< packed rows that one pass needs
  int64_t pass_step = 1;     ///< packed rows from one pass to the next
  std::vector<int64_t> offsets;

  /// For rows of up to `width` output pixels.
  Plan(const ConvSpec& conv, int64_t width);

  int64_t passes(int64_t rows) const { return (rows + rows_at_once - 1) / rows_at_once; }
  int64_t packed_rows(int64_t n_passes) const { return (n_passes - 1) * pass_step + window_rows; }
};

Plan::Plan(const ConvSpec& conv, int64_t width) : pairing(pairing_of(conv)) {
  const int64_t span = (conv.kernel[1] - 1) * conv.dilations[1];
  int64_t rows = conv.kernel[0];     // rows of words that a window meets
  int64_t columns = conv.kernel[1];  // words of such a row
  int64_t row_dilation = conv.dilations[0];
  int64_t column_dilation = conv.dilations[1];
  pass_step = conv.strides[0];
  if (pairing == Pairing::kRows) {
    rows_at_once = 2;
    rows = conv.kernel[0] / 2 + 1;
    row_words = width + span;
  } else if (pairing == Pairing::kColumns) {
    columns = (conv.kernel[1] + 1) / 2;
    row_words = width + columns - 1;
  } else {
    row_words = (width - 1) * conv.strides[1] + span + 1;
  }
  row_words = (row_words + kRowUnit - 1) / kRowUnit * kRowUnit;
  window_rows = (rows - 1) * row_dilation + 1;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      offsets.push_back(r * row_dilation * row_words + c * column_dilation);
    }
  }
}

/// Some output rows of the channels of one group, or part of each.
struct Band {
  int64_t image;
  int64_t group;
  int64_t passes;
  int64_t begin;  ///< output rows [begin, end)
  int64_t end;
  int64_t column;  ///< output columns from here on
  int64_t width;   ///< so many
};

struct DepthwiseWork {
  const ConvRun& run;
  const Plan& plan;
  const int16_t* weights;
  int f;
  PackWordsArgs packing;    // of any band
  DepthwiseArgs depthwise;  // of any channel
  int64_t per_group;

  DepthwiseWork(const ConvRun& run_, const Plan& plan_, const int16_t* weights_, int f_)
      : run(run_),
        plan(plan_),
        weights(weights_),
        f(f_),
        packing(pack_args()),
        depthwise(sum_args()),
        per_group(run_.conv.outputs / run_.conv.group) {}

  /// Packs what the output rows of a band need.
  void pack(const Band& band, int32_t* packed) const {
    const ConvShape& shape = run.shape;
    PackWordsArgs p = packing;
    p.x = run.x + (band.image * run.conv.group + band.group) * shape.input[0] * shape.input[1];
    const int64_t first = band.column * run.conv.strides[1] - shape.begin[1];  // input column
    const int64_t skipped = std::clamp(first, int64_t{0}, shape.input[1]);
    p.x += skipped;
    p.width -= skipped;
    p.pad = std::max(-first, int64_t{0});
    p.first_row = band.begin * run.conv.strides[0] - shape.begin[0];
    p.rows = plan.packed_rows(band.passes);
    p.out = packed;
    (plan.pairing == Pairing::kColumns ? run.kernels.pack_neighbours : run.kernels.pack_words)(p);
  }

  /// The output rows of a band in all channels of its group.
  void sum(const Band& band, const int32_t* packed) const {
    for (int64_t m = band.group * per_group; m < (band.group + 1) * per_group; ++m) {
      const int64_t at = first(band, m);
      sum_channel(band, m, packed, run.y + at, run.z ? run.z + at : nullptr);
    }
  }

  /// Where the first output of a band lies in channel m.
  int64_t first(const Band& band, int64_t m) const {
    const int64_t row = (band.image * run.conv.outputs + m) * run.shape.output[0] + band.begin;
    return row * run.shape.output[1] + band.column;
  }

  /// The output rows of a band in channel m, to rows of the band's width; `z` lies like `out`.
  void sum_channel(const Band& band, int64_t m, const int32_t* packed, float* out,
                   const float* z) const {
    DepthwiseArgs d = depthwise;
    place_channel(m, &d);
    d.words = packed;
    d.height = band.end - band.begin;
    d.width = band.width;
    d.out = out;
    d.z = z;
    run.kernels.depthwise(d);
  }

 private:
  PackWordsArgs pack_args() const {
    PackWordsArgs p{};
    p.height = run.shape.input[0];
    p.width = run.shape.input[1];
    p.stride = run.shape.input[1];
    p.row_step = plan.rows_at_once;
    p.pairs_rows = plan.pairing == Pairing::kRows;
    p.n = plan.row_words;
    p.scale = power_of_two(f);
    p.limit = static_cast<float>(run.psb.limit());
    return p;
  }

  DepthwiseArgs sum_args() const {
    DepthwiseArgs d{};
    d.offsets = plan.offsets.data();
    d.n = static_cast<int64_t>(plan.offsets.size());
    d.rows = static_cast<int>(plan.rows_at_once);
    d.pass_step = plan.pass_step * plan.row_words;
    d.column_step = plan.pairing == Pairing::kNone ? run.conv.strides[1] : 1;
    d.clips = run.psb.clips();
    d.low = run.psb.low();
    d.high = run.psb.high();
    return d;
  }

  /// Weights, scale and bias of output channel m.
  void place_channel(int64_t m, DepthwiseArgs* d) const {
    const OutputBlock& block = run.weights.lanes().blocks()[static_cast<size_t>(m / kTileLanes)];
    const Scale scale = channel_scale(run.emax[m], run.precision, f);
    d->weights = weights + block.weights + 2 * (m % kTileLanes);
    d->weight_step = int64_t{2} * kLanes * block.vectors;
    const std::vector<int64_t>& ends = run.weights.channel_runs(m);
    d->ends = ends.data();
    d->runs = static_cast<int64_t>(ends.size());
    d->scale_a = scale.a;
    d->scale_b = scale.b;
    d->bias = run.bias ? run.bias + m : nullptr;
  }
};

Status no_memory() {
  return Status("memory for the packed input is missing; give a smaller input.");
}

/// Output rows of a band: as many as fit, at least those of one pass.
int64_t band_rows(const Plan& plan) {
  const int64_t spare = kBandWords / plan.row_words - plan.window_rows;
  return (spare < 0 ? 1 : spare / plan.pass_step + 1) * plan.rows_at_once;
}

/// Pass by pass, two output rows share words: those of the odd one start half a word later.
std::vector<WeightPair> row_pairs(const ConvSpec& conv) {
  const int64_t height = conv.kernel[0];
  const int64_t width = conv.kernel[1];
  const auto tap = [&](int64_t ky, int64_t kx) {
    return ky >= 0 && ky < height ? ky * width + kx : -1;
  };
  std::vector<WeightPair> pairs;
  for (int64_t odd = 0; odd < 2; ++odd) {
    for (int64_t ky = -odd; ky < height / 2 * 2 + 2 - odd; ky += 2) {
      for (int64_t kx = 0; kx < width; ++kx) pairs.push_back({tap(ky, kx), tap(ky + 1, kx)});
    }
  }
  return pairs;
}

/// Runs of `step` neighbouring taps of a row.
std::vector<WeightPair> column_pairs(const ConvSpec& conv, int64_t step) {
  const int64_t width = conv.kernel[1];
  std::vector<WeightPair> pairs;
  for (int64_t first = 0; first < conv.taps(); first += width) {
    for (int64_t kx = 0; kx < width; kx += step) {
      const bool both = step == 2 && kx + 1 < width;
      pairs.push_back({first + kx, both ? first + kx + 1 : -1});
    }
  }
  return pairs;
}

}  // namespace

PairOrder depthwise_pairs(const ConvSpec& conv) {
  const Pairing pairing = pairing_of(conv);
  PairOrder order;
  order.pairs = pairing == Pairing::kRows ? row_pairs(conv)
                                          : column_pairs(conv, pairing == Pairing::kNone ? 1 : 2);
  const int64_t rows = pairing == Pairing::kRows ? 2 : 1;  // of a pass, one after the other
  const int64_t size = static_cast<int64_t>(order.pairs.size()) / rows;
  for (int64_t r = 1; r <= rows; ++r) order.ends.push_back(r * size);
  return order;
}

namespace {

/// The bands of all images and groups, one after the other.
class BandWalk {
 public:
  BandWalk(const ConvRun& run, const Plan& plan, const Split& bands, size_t first)
      : run_(run), plan_(plan), bands_(bands), piece_(first % bands.pieces) {
    const int64_t plane = static_cast<int64_t>(first / bands.pieces);
    image_ = plane / run.conv.group;
    group_ = plane % run.conv.group;
  }

  Band next() {
    const int64_t first = piece_ ? static_cast<int64_t>(bands_.begin(piece_)) : 0;
    const int64_t last =
        static_cast<int64_t>(piece_ + 1 < bands_.pieces ? bands_.end(piece_) : bands_.total);
    const Band band{image_,
                    group_,
                    last - first,
                    first * plan_.rows_at_once,
                    std::min(last * plan_.rows_at_once, run_.shape.output[0]),
                    0,
                    run_.shape.output[1]};
    step();
    return band;
  }

 private:
  void step() {
    if (++piece_ < bands_.pieces) return;
    piece_ = 0;
    if (++group_ < run_.conv.group) return;
    group_ = 0;
    ++image_;
  }

  const ConvRun& run_;
  const Plan& plan_;
  const Split& bands_;
  size_t piece_;
  int64_t image_;
  int64_t group_;
};

}  // namespace

Status run_depthwise(Runner& runner, const ConvRun& run, const int16_t* weights, int f) {
  const Plan plan(run.conv, run.shape.output[1]);
  const DepthwiseWork work(run, plan, weights, f);
  const int64_t passes = plan.passes(run.shape.output[0]);
  const int64_t at_most = band_rows(plan) / plan.rows_at_once;
  const Split bands(static_cast<size_t>(passes), static_cast<size_t>((passes - 1) / at_most + 1));
  const size_t all = static_cast<size_t>(run.shape.batch * run.conv.group) * bands.pieces;
  const size_t pixels = static_cast<size_t>(run.shape.pixels()) / bands.pieces + 1;
  const int64_t words = plan.packed_rows(static_cast<int64_t>(bands.end(0))) * plan.row_words;
  // Rows that are too long for the band get memory of their own, one piece per range.
  const bool is_long = words > kBandWords;
  const size_t piece = static_cast<size_t>(words + kSpareWords);
  const Split split(all, is_long ? kLongPieces : all * pixels / kWordsPerItem + 1);
  const Scratch<int32_t> rows(runner, is_long ? split.pieces * piece : size_t{0});
  if (!rows) return no_memory();
  auto item = [&](size_t i) {
    alignas(64) int32_t band[kBandWords + kSpareWords];
    int32_t* packed = is_long ? rows.data() + i * piece : band;
    BandWalk walk(run, plan, bands, split.begin(i));
    for (size_t count = split.end(i) - split.begin(i); count > 0; --count) {
      const Band next = walk.next();
      work.pack(next, packed);
      work.sum(next, packed);
    }
  };
  parallel_for(runner, split.pieces, item);
  return {};
}

namespace {

/// Output rows of a block: a vector of passes. Runs by themselves cost much more per pixel than
/// rows, so that pixels of a block outside the region cost less than they save.
constexpr int64_t kBlockRows = 8;

/// The runs of neighbouring rows, and the columns that they span.
struct Block {
  size_t begin;  ///< runs [begin, end)
  size_t end;
  Band band;  ///< of the first group
};

std::vector<Block> make_blocks(const std::vector<PixelRun>& runs, const Plan& rows) {
  std::vector<Block> blocks;
  for (size_t i = 0; i < runs.size(); ++i) {
    const PixelRun& run = runs[i];
    const bool goes_on = !blocks.empty() && blocks.back().band.image == run.image &&
                         run.row < blocks.back().band.begin + kBlockRows;
    if (!goes_on) blocks.push_back({i, i, {run.image, 0, 0, run.row, 0, run.column, 0}});
    Band& band = blocks.back().band;
    const int64_t right = std::max(band.column + band.width, run.column + run.length);
    band.column = std::min(band.column, run.column);
    band.width = right - band.column;
    band.end = run.row + 1;
    band.passes = rows.passes(band.end - band.begin);
    blocks.back().end = i + 1;
  }
  return blocks;
}

/// A block in all channels of its group, by way of `y` and `z` of as many values.
void sum_block(const DepthwiseWork& work, const Block& block, const Band& band,
               const int32_t* packed, float* y, float* z) {
  const ConvRun& run = work.run;
  const int64_t width = run.shape.output[1];
  for (int64_t m = band.group * work.per_group; m < (band.group + 1) * work.per_group; ++m) {
    const int64_t first = work.first(band, m);
    for (int64_t r = 0; run.z && r < band.end - band.begin; ++r) {
      std::copy_n(run.z + first + r * width, band.width, z + r * band.width);
    }
    work.sum_channel(band, m, packed, y, run.z ? z : nullptr);
    for (size_t i = block.begin; i < block.end; ++i) {
      const PixelRun& at = run.region->runs()[i];
      const int64_t row = at.row - band.begin;
      const int64_t column = at.column - band.column;
      std::copy_n(y + row * band.width + column, at.length, run.y + first + row * width + column);
    }
  }
}

}  // namespace

Status run_depthwise_region(Runner& runner, const ConvRun& run, const int16_t* weights, int f) {
  const std::vector<Block> blocks =
      make_blocks(run.region->runs(), Plan(run.conv, run.shape.output[1]));
  int64_t widest = 0;
  for (const Block& block : blocks) widest = std::max(widest, block.band.width);
  const Plan plan(run.conv, widest);
  const DepthwiseWork work(run, plan, weights, f);
  const size_t all = static_cast<size_t>(run.conv.group) * blocks.size();
  const size_t values = static_cast<size_t>(kBlockRows * widest);
  const size_t words =
      static_cast<size_t>(plan.packed_rows(plan.passes(kBlockRows)) * plan.row_words);
  const Split split(all, all * words / kWordsPerItem + 1);
  std::atomic<bool> missing{false};
  auto item = [&](size_t i) {
    const Scratch<int32_t> packed(runner, words + kSpareWords);
    const Scratch<float> y(runner, 2 * values);
    if (!packed || !y) {
      missing = true;
      return;
    }
    for (size_t at = split.begin(i); at < split.end(i); ++at) {
      const Block& block = blocks[at % blocks.size()];
      Band band = block.band;
      band.group = static_cast<int64_t>(at / blocks.size());
      work.pack(band, packed.data());
      sum_block(work, block, band, packed.data(), y.data(), y.data() + values);
    }
  };
  parallel_for(runner, split.pieces, item);
  return missing ? no_memory() : Status();
}

}  // namespace reluflow
