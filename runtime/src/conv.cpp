#include "conv.h"

#include <algorithm>
#include <optional>

#include "activations.h"
#include "depthwise.h"
#include "gemm.h"
#include "packed_input.h"
#include "per_product.h"

namespace reluflow {

namespace {

constexpr int64_t kPackedBytes = 1 << 20;  // images that are packed at once: about a second cache

/// Images [first, first + count), packed.
struct Batch {
  const int32_t* packed;
  int64_t first;
  int64_t count;
};

struct TileWork {
  const ConvRun& run;
  const PackedLayout& layout;
  const int64_t* taps;  // byte offsets
  const int16_t* weights;
  const Epilogue* epilogues;  // one a block
  int16_t* drawn;             // where the first chunk draws the weights as it uses them, or null

  /// Windows [begin, end) of the batch, counted over its images, times one block of outputs.
  void chunk(const Batch& batch, size_t number, int64_t begin, int64_t end) const {
    const OutputBlock& block = run.weights.lanes().blocks()[number];
    GemmInput in;
    in.taps = taps;
    in.ends = &run.weights.lanes().order().ends;
    place(batch.packed + block.group * layout.group_pairs() * run.shape.plane(), begin, end, &in);
    std::optional<BlockDraw> draw;
    if (drawn && begin == 0) {
      draw.emplace(run.weights.lanes(), number, run.kernels, run.precision,
                   make_key(run.precision.seed, run.psb.stream), drawn);
      in.draw = &*draw;
    }
    alignas(64) float sums[(kChunkPixels + kSpareRows) * kTileLanes];
    StoreArgs s = epilogues[number].args(run.psb, block.lanes, run.bias != nullptr);
    s.sums = sums;
    gemm_chunk(run.kernels, in, block, weights + block.weights, sums);
    store(batch, block, begin, end, s);
  }

  /// Where the windows [begin, end) start, from the packed first image of their group on.
  void place(const int32_t* packed, int64_t begin, int64_t end, GemmInput* in) const {
    const ConvShape& shape = run.shape;
    int64_t image = begin / shape.pixels();
    int64_t row = begin % shape.pixels() / shape.output[1];
    int64_t column = begin % shape.output[1];
    in->count = static_cast<int>(end - begin);
    for (int i = 0; i < in->count; ++i) {
      const int64_t at = image * layout.image() + row * shape.window_step[0] * shape.packed[1] +
                         column * shape.window_step[1];
      in->pixels[i] = reinterpret_cast<const char*>(packed + at);
      if (++column < shape.output[1]) continue;
      column = 0;
      if (++row < shape.output[0]) continue;
      row = 0;
      ++image;
    }
  }

  /// Writes the part of a chunk that lies in each image.
  void store(const Batch& batch, const OutputBlock& block, int64_t begin, int64_t end,
             StoreArgs s) const {
    const int64_t pixels = run.shape.pixels();
    const float* sums = s.sums;
    s.stride = pixels;
    for (int64_t v = begin; v < end;) {
      const int64_t image = v / pixels;
      const int64_t stop = std::min(end, (image + 1) * pixels);
      s.sums = sums + (v - begin) * kTileLanes;
      s.pixels = static_cast<int>(stop - v);
      const int64_t at =
          ((batch.first + image) * run.conv.outputs + block.first) * pixels + v % pixels;
      s.out = run.y + at;
      s.z = run.z ? run.z + at : nullptr;
      run.kernels.store_planar(s);
      v = stop;
    }
  }
};

/// Chunks of whole tiles, as equal as they can be.
Split split_windows(const Kernels& kernels, int64_t windows) {
  const size_t tile = static_cast<size_t>(kernels.tile_pixels);
  const size_t tiles = (static_cast<size_t>(windows) + tile - 1) / tile;
  const size_t per_chunk = 63 / tile;
  return Split(tiles, (tiles + per_chunk - 1) / per_chunk);
}

void run_tiles(Runner& runner, const TileWork& work, const Batch& batch) {
  const int64_t windows = batch.count * work.run.shape.pixels();
  const int64_t tile = work.run.kernels.tile_pixels;
  const Split split = split_windows(work.run.kernels, windows);
  const size_t blocks = work.run.weights.lanes().blocks().size();
  // Where the first chunk of a block draws its weights, all others come after all of these.
  for (size_t from = 0; from < split.pieces;) {
    const size_t pieces = work.drawn && from == 0 ? 1 : split.pieces - from;
    auto item = [&](size_t i) {
      const size_t piece = from + i % pieces;
      const int64_t begin = static_cast<int64_t>(split.begin(piece)) * tile;
      const int64_t end = static_cast<int64_t>(split.end(piece)) * tile;
      work.chunk(batch, i / pieces, begin, std::min(end, windows));
    };
    parallel_for(runner, pieces * blocks, item);
    from += pieces;
  }
}

/// Whether drawing weights apart from their use would cost much: there are few windows for each.
bool draws_on_the_way(const ConvRun& run) {
  constexpr size_t kMaxPieces = 8;
  return run.weights.path() == Path::kTiles &&
         split_windows(run.kernels, run.shape.batch * run.shape.pixels()).pieces <= kMaxPieces;
}

void run_per_product(Runner& runner, const ConvRun& run, const PackedLayout& layout,
                     const std::vector<int64_t>& offsets, int f, const Batch& batch) {
  const int64_t pixels = run.shape.pixels();
  const ProductRun products{
      run.psb,
      run.weights.code(),
      run.precision,
      f,
      run.emax,
      run.bias,
      {run.conv.group, run.conv.outputs / run.conv.group, run.conv.group_inputs, run.conv.taps()}};
  auto item = [&](size_t i) {
    const int64_t v = static_cast<int64_t>(i);
    const int64_t image = v / pixels;
    const int32_t* x = batch.packed + image * layout.image() + layout.window(v % pixels);
    const int64_t at = (batch.first + image) * run.conv.outputs * pixels + v % pixels;
    position(products, batch.first * pixels + v, x, offsets.data(),
             layout.group_pairs() * run.shape.plane(),
             {run.y + at, run.z ? run.z + at : nullptr, pixels});
  };
  parallel_for(runner, static_cast<size_t>(batch.count * pixels), item);
}

/// A convolution whose rows join without a gap is one with a single long row.
ConvShape joined(const ConvSpec& conv, ConvShape shape) {
  if (conv.taps() != 1) return shape;
  for (int axis = 0; axis < 2; ++axis) {
    if (shape.pack_step[axis] != 1 || shape.packed[axis] != shape.input[axis]) return shape;
  }
  const int64_t pixels = shape.input[0] * shape.input[1];
  for (int64_t* size : {shape.input, shape.output, shape.packed}) {
    size[0] = 1;
    size[1] = pixels;
  }
  return shape;
}

/// The drawn weights of a run: a kept set, one that its first chunks draw, or none per product.
struct RunWeights {
  WeightCache::Lease kept;
  std::shared_ptr<WeightSet> fresh;

  RunWeights(Runner& runner, const ConvRun& run) {
    if (draws_on_the_way(run)) {
      kept = run.weights.find(run.precision);
      if (!kept) fresh = run.weights.take(run.precision);
    } else if (run.weights.path() != Path::kPerProduct) {
      kept = run.weights.sample(runner, run.kernels, run.psb, run.precision);
    }
  }
  int16_t* to_draw() const { return fresh ? fresh->weights.data() : nullptr; }
  const int16_t* weights() const { return fresh ? fresh->weights.data() : kept.weights(); }
};

}  // namespace

LaneShape lane_shape(const ConvSpec& conv) {
  LaneShape shape{conv.group, conv.outputs / conv.group, conv.group_inputs, conv.taps()};
  shape.order = window_pairs(conv);
  if (conv.group_inputs == 1) shape.depthwise = depthwise_pairs(conv);
  return shape;
}

Status run_conv(Runner& runner, const ConvRun& given) {
  const ConvShape shape = joined(given.conv, given.shape);
  const ConvRun run{given.psb,     given.conv,      shape,   given.kernels,
                    given.weights, given.precision, given.x, given.emax,
                    given.bias,    given.y,         given.z};
  const PackedLayout layout{run.conv, run.shape};
  if (run.shape.batch == 0) return {};
  const int64_t count =
      run.shape.batch * run.conv.inputs() * run.shape.input[0] * run.shape.input[1];
  const int f = activation_exponent(runner, run.kernels, run.psb, run.x, count);
  const std::vector<int64_t> offsets = layout.pair_offsets();
  const bool per_product = run.weights.path() == Path::kPerProduct;
  RunWeights set(runner, run);
  if (run.weights.path() == Path::kDepthwise) return run_depthwise(runner, run, set.weights(), f);
  const PairOrder& order = run.weights.lanes().order();
  std::vector<int64_t> bytes = per_product ? offsets : layout.word_offsets(order);
  for (int64_t& b : bytes) b *= static_cast<int64_t>(sizeof(int32_t));
  const int64_t fitting = kPackedBytes / (layout.image() * static_cast<int64_t>(sizeof(int32_t)));
  const int64_t at_once = std::clamp<int64_t>(fitting, 1, run.shape.batch);
  const Scratch<int32_t> packed(runner, static_cast<size_t>(at_once * layout.image()));
  if (!packed) return Status("memory for the packed input is missing; give a smaller batch.");
  const std::vector<Epilogue> epilogues =
      make_epilogues(run.weights.lanes().blocks(), run.precision, f, run.emax, run.bias);
  for (int64_t first = 0; first < run.shape.batch; first += at_once) {
    const Batch batch{packed.data(), first, std::min(at_once, run.shape.batch - first)};
    pack_images(runner, run.kernels, layout, run.x, first, batch.count, f, run.psb.limit(),
                order.neighbour, packed.data());
    if (per_product) {
      run_per_product(runner, run, layout, offsets, f, batch);
    } else {
      run_tiles(runner,
                {run, layout, bytes.data(), set.weights(), epilogues.data(),
                 first == 0 ? set.to_draw() : nullptr},
                batch);
    }
  }
  if (set.fresh) run.weights.keep(std::move(set.fresh));
  return {};
}

}  // namespace reluflow
