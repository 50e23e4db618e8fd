#include "sums/conv.h"

#include <algorithm>
#include <optional>

#include "inputs/activations.h"
#include "inputs/bands.h"
#include "inputs/packed_input.h"
#include "sums/conv_region.h"
#include "sums/depthwise.h"
#include "sums/gemm.h"
#include "sums/per_product.h"

namespace reluflow {

namespace {

struct TileWork {
  const ConvRun& run;
  const Bands& bands;
  const int64_t* taps;  // byte offsets
  const int16_t* weights;
  const Epilogue* epilogues;  // one per block
  int16_t* drawn;             // where the first chunk draws the weights as it uses them, or null

  /// Windows [begin, end) of a band, times one block of outputs.
  void chunk(size_t band, const int32_t* packed, size_t number, int64_t begin, int64_t end) const {
    const OutputBlock& block = run.weights.lanes().blocks()[number];
    GemmInput in;
    in.taps = taps;
    in.ends = &run.weights.lanes().order().ends;
    in.runs = run.weights.lanes().runs(number).data();
    const PackedLayout& layout = bands.layout();
    place(packed + block.group * layout.group_pairs() * layout.plane_stride, begin, end, &in);
    std::optional<BlockDraw> draw;
    if (drawn && band == 0 && begin == 0) {
      draw.emplace(run.weights.lanes(), number, run.kernels, run.precision,
                   make_key(run.precision.seed, run.psb.stream), drawn + block.weights);
      in.draw = &*draw;
    }
    alignas(64) float sums[(kChunkPixels + kSpareRows) * kTileLanes];
    StoreArgs s = epilogues[number].args(run.psb, block.lanes, run.bias != nullptr);
    s.sums = sums;
    gemm_chunk(run.kernels, in, block, weights + block.weights, sums);
    store(band, block, begin, end, s);
  }

  /// Where the windows [begin, end) of a band start, from its packed first image of a group on.
  void place(const int32_t* packed, int64_t begin, int64_t end, GemmInput* in) const {
    const PackedLayout& layout = bands.layout();
    const ConvShape& shape = layout.shape;
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
  void store(size_t band, const OutputBlock& block, int64_t begin, int64_t end, StoreArgs s) const {
    const int64_t pixels = bands.pixels(band);
    const float* sums = s.sums;
    s.stride = run.shape.pixels();
    for (int64_t v = begin; v < end;) {
      const int64_t image = v / pixels;
      const int64_t stop = std::min(end, (image + 1) * pixels);
      s.sums = sums + (v - begin) * kTileLanes;
      s.pixels = static_cast<int>(stop - v);
      const int64_t at =
          ((bands.first_image(band) + image) * run.conv.outputs + block.first) * s.stride +
          bands.first_pixel(band) + v % pixels;
      s.out = run.y + at;
      s.z = run.z ? run.z + at : nullptr;
      run.kernels.store_planar(s);
      v = stop;
    }
  }
};

/// Whether drawing weights apart from their use would cost much: there are few windows for each.
bool draws_on_the_way(const ConvRun& run) {
  // A block's weights are drawn while its first chunk is summed, and the other chunks wait for it.
  // With more chunks than these the drawing is a small share either way, and apart it is spread
  // over all threads. A choice, not measured.
  constexpr size_t kMaxPieces = 8;
  return run.weights.path() == Path::kTiles &&
         split_windows(run.kernels, run.shape.batch * run.shape.pixels()).pieces <= kMaxPieces;
}

/// Every thread packs what it sums: packed pixels do not move from one core to another.
Status run_tiles(Runner& runner, const TileWork& work, int f) {
  const ConvRun& run = work.run;
  const Bands& bands = work.bands;
  const PackedLayout whole{run.conv, run.shape, run.shape.plane()};
  const RowPacker packer(run.kernels, whole, f, run.psb.limit(),
                         run.weights.lanes().order().neighbour);
  const size_t pieces = split_windows(run.kernels, bands.most_windows()).pieces;
  const size_t blocks = run.weights.lanes().blocks().size();
  const size_t per_band = pieces * blocks;
  BandSlots slots(bands.count() * per_band);
  const size_t size = static_cast<size_t>(bands.packed_size());
  const Scratch<int32_t> packed(runner, slots.count() * size);
  if (!packed) return Status("memory for the packed input is missing; give a smaller input.");
  const auto sum = [&](size_t band, size_t block, size_t piece) {
    const Split split = split_windows(run.kernels, bands.windows(band));
    if (piece >= split.pieces) return;
    const size_t slot = slots.take();
    int32_t* to = packed.data() + slot * size;
    if (slots.band(slot) != static_cast<int64_t>(band)) bands.pack(band, packer, run.x, to);
    slots.band(slot) = static_cast<int64_t>(band);
    const int64_t tile = run.kernels.tile_pixels;
    const int64_t begin = static_cast<int64_t>(split.begin(piece)) * tile;
    const int64_t end = static_cast<int64_t>(split.end(piece)) * tile;
    work.chunk(band, to, block, begin, std::min(end, bands.windows(band)));
    slots.give(slot);
  };
  // Where the first chunk of a block draws its weights, all others come after all of these.
  if (work.drawn) parallel_for(runner, blocks, [&](size_t block) { sum(0, block, 0); });
  auto item = [&](size_t i) {
    if (work.drawn && i / per_band == 0 && i % pieces == 0) return;
    sum(i / per_band, i % per_band / pieces, i % pieces);
  };
  const size_t items = bands.count() * per_band;
  if (!work.drawn || items > blocks) parallel_for(runner, items, item);
  return {};
}

Status run_per_product(Runner& runner, const ConvRun& run, int f) {
  const PackedLayout layout{run.conv, run.shape, run.shape.plane()};
  const std::vector<int64_t> offsets = layout.pair_offsets();
  const int64_t pixels = run.shape.pixels();
  const Scratch<int32_t> packed(runner, static_cast<size_t>(layout.image()));
  if (!packed) return Status("memory for the packed input is missing; give a smaller input.");
  const ProductRun products = product_run(run, f);
  for (int64_t image = 0; image < run.shape.batch; ++image) {
    pack_image(runner, run.kernels, layout, run.x, image, f, run.psb.limit(), packed.data());
    auto item = [&](size_t i) {
      const int64_t v = static_cast<int64_t>(i);
      const int64_t at = image * run.conv.outputs * pixels + v;
      position(products, image * pixels + v, packed.data() + layout.window(v), offsets.data(),
               layout.group_pairs() * run.shape.plane(),
               {run.y + at, run.z ? run.z + at : nullptr, pixels});
    };
    parallel_for(runner, static_cast<size_t>(pixels), item);
  }
  return {};
}

/// A convolution whose rows join without a gap is treated as one with a single long row.
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

/// The drawn weights of a run: a kept set, or one that its first chunks draw.
struct RunWeights {
  WeightCache::Lease kept;
  std::shared_ptr<WeightSet> fresh;

  RunWeights(Runner& runner, const ConvRun& run) {
    if (draws_on_the_way(run)) {
      kept = run.weights.find(run.precision);
      if (!kept) fresh = run.weights.take(run.precision);
    } else {
      kept = run.weights.sample(runner, run.kernels, run.psb, run.precision);
    }
  }
  int16_t* to_draw() const { return fresh ? fresh->weights.data() : nullptr; }
  const int16_t* weights() const { return fresh ? fresh->weights.data() : kept.weights(); }
};

}  // namespace

namespace {

/// Whether the depthwise path may be taken: it packs all pixels between its windows, which wastes
/// memory with large strides, and leaves none out in front, as automatic padding may.
bool steps_are_short(const ConvSpec& conv) {
  constexpr int64_t kMostStep = 64;  // a guard; networks have 1 or 2, dilated ones up to 32
  const bool same = conv.auto_pad == AutoPad::kSameUpper || conv.auto_pad == AutoPad::kSameLower;
  for (int axis = 0; axis < 2; ++axis) {
    const int64_t most =
        same ? std::min(kMostStep, (conv.kernel[axis] - 1) * conv.dilations[axis] + 1) : kMostStep;
    if (conv.strides[axis] > most || conv.dilations[axis] > kMostStep) return false;
  }
  return true;
}

}  // namespace

LaneShape lane_shape(const ConvSpec& conv) {
  LaneShape shape{conv.group, conv.outputs / conv.group, conv.group_inputs, conv.taps()};
  shape.order = window_pairs(conv);
  if (conv.group_inputs == 1 && steps_are_short(conv)) shape.depthwise = depthwise_pairs(conv);
  return shape;
}

Status run_conv(Runner& runner, const ConvRun& given) {
  // A region's runs lie in the rows of the image.
  const ConvShape shape = given.region ? given.shape : joined(given.conv, given.shape);
  static const float kNothing = 0;  // an input without pixels may have no memory at all
  const ConvRun run{given.psb,
                    given.conv,
                    shape,
                    given.kernels,
                    given.weights,
                    given.precision,
                    given.x ? given.x : &kNothing,
                    given.emax,
                    given.bias,
                    given.y,
                    given.z,
                    given.region};
  if (run.shape.batch == 0 || (run.region && run.region->count() == 0)) return {};
  const int64_t count =
      run.shape.batch * run.conv.inputs() * run.shape.input[0] * run.shape.input[1];
  const int f = activation_exponent(runner, run.kernels, run.psb, run.x, count);
  if (run.region) return run_region(runner, run, f);
  if (run.weights.path() == Path::kPerProduct) return run_per_product(runner, run, f);
  RunWeights set(runner, run);
  if (run.weights.path() == Path::kDepthwise) return run_depthwise(runner, run, set.weights(), f);
  const LaneCode& lanes = run.weights.lanes();
  const Bands bands(run.conv, run.shape, lanes.sampled_size() * 2, run.kernels.tile_pixels);
  std::vector<int64_t> bytes = bands.layout().word_offsets(lanes.order());
  for (int64_t& b : bytes) b *= static_cast<int64_t>(sizeof(int32_t));
  const std::vector<Epilogue> epilogues =
      make_epilogues(lanes.blocks(), run.precision, f, run.emax, run.bias);
  RELUFLOW_RETURN_IF_BAD(run_tiles(
      runner, {run, bands, bytes.data(), set.weights(), epilogues.data(), set.to_draw()}, f));
  if (set.fresh) run.weights.keep(std::move(set.fresh));
  return {};
}

}  // namespace reluflow
