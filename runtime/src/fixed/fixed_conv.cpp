#include "fixed/fixed_conv.h"

#include <algorithm>
#include <atomic>

#include "fixed/floats.h"
#include "fixed/pieces.h"

namespace reluflow {

namespace {

constexpr size_t kPieces = 12;        // pieces of work wanted, so that a few threads end together
constexpr int64_t kMostDrawn = 1024;  // output pixels beyond which a draw costs too little to hide
constexpr int64_t kLine = 64;         // bytes that a tile fetches per quad
constexpr size_t kLeastBlocks = 4;    // blocks below which drawing one by one idles threads

/// The weights of one block of output channels, and how its sums become bytes.
struct Block {
  const OutputBlock& lanes;
  const int8_t* weights;
  const FixedStore& store;
  const uint8_t* ahead = nullptr;  // as many bytes as `weights` has, needed next, or null
};

/// A convolution as pieces, each of which needs all blocks.
struct Work {
  const FixedConvRun& run;
  FixedPieces pieces;

  explicit Work(const FixedConvRun& r) : run(r), pieces(r) {}

  /// Piece `i`, whose windows lie in `copy` if pieces are copied, times one block.
  void sum(size_t i, const uint8_t* copy, const Block& b) const {
    const int64_t outputs = run.conv.outputs;
    const uint8_t* pixels[kFixedPixels];
    const uint8_t* z[kFixedPixels];
    uint8_t* out[kFixedPixels];
    int64_t numbers[kFixedPixels];
    FixedTileArgs args{
        pixels,        pieces.offsets().data(), b.weights, run.code.quads(), &b.store,
        b.lanes.lanes, run.z ? z : nullptr,     out,       nullptr,          nullptr};
    alignas(64) int32_t sums[kFixedPixels * kTileLanes];
    FloatScale scale;
    if (run.floats.y) {
      args.sums = sums;
      scale = float_scale(run, b.lanes);
    }
    const int64_t group = b.lanes.group * pieces.layout().group_bytes;
    const int64_t count = pieces.pixels(i);
    const int64_t tiles = (count + kFixedPixels - 1) / kFixedPixels;
    FixedPieces::Walk walk = pieces.walk(i, copy);
    for (int64_t t = 0; t < tiles; ++t) {
      // Of nearly equal size: a tile of few pixels waits for its weights.
      const int tile = static_cast<int>(count / tiles + (t < count % tiles ? 1 : 0));
      for (int p = 0; p < tile; ++p) {
        const FixedPixel pixel = walk.next();
        const int64_t to = pixel.number * outputs + b.lanes.first;
        pixels[p] = pixel.x + group;
        out[p] = run.y ? run.y + to : nullptr;
        z[p] = run.z ? run.z + to : nullptr;
        numbers[p] = pixel.number;
      }
      const int64_t fetched = t * args.quads * kLine;
      args.ahead = b.ahead && fetched < run.code.bytes(b.lanes) ? b.ahead + fetched : nullptr;
      run.kernels.fixed_tile(tile, b.lanes.vectors, args);
      if (args.sums) store_floats(run, b.lanes, scale, b.store, {numbers, tile}, args.sums);
      for (int p = 0; run.table && p < tile; ++p) {
        run.kernels.fixed_table(out[p], b.lanes.lanes, run.table);
      }
    }
  }

  /// A piece times one block of the drawn set; block `after` comes next.
  void sum_drawn(size_t i, const uint8_t* copy, size_t number, size_t after) const {
    const auto& blocks = run.code.blocks();
    const int8_t* weights = run.set->weights.data();
    const int8_t* ahead = after < blocks.size() ? weights + blocks[after].weights : nullptr;
    sum(i, copy,
        {blocks[number], weights + blocks[number].weights, run.stores.of(number),
         reinterpret_cast<const uint8_t*>(ahead)});
  }

  /// Draws a block into `weights`, and multiplies all pieces by it; `copies` holds them, or is
  /// null.
  void draw_and_sum(size_t number, size_t after, const uint8_t* copies, int8_t* weights) const {
    const auto& blocks = run.code.blocks();
    (*run.draw)(blocks[number], weights);
    FixedStore store = run.stores.plain[number];
    if (run.formats.x.zero != 0) {
      int32_t sums[kTileLanes];
      run.code.add_up(run.kernels, blocks[number], weights, sums);
      subtract_zero(run.formats.x.zero, sums, &store);
    }
    const uint8_t* ahead = after < blocks.size() ? run.code.codes(blocks[after]) : nullptr;
    for (size_t i = 0; i < pieces.count(); ++i) {
      sum(i, copies ? copies + i * pieces.copy_bytes() : nullptr,
          {blocks[number], weights, store, i == 0 ? ahead : nullptr});
    }
  }
};

Status no_memory() {
  return Status("memory for the padded input is missing; give a smaller input.");
}

/// Many pieces: each copies its own rows and is multiplied by all blocks.
Status run_by_pieces(Runner& runner, const Work& work) {
  std::atomic<bool> missing{false};
  const auto item = [&](size_t i) {
    const Scratch<uint8_t> copy(runner, work.pieces.copies() ? work.pieces.copy_bytes() : 1);
    if (!copy) {
      missing = true;
      return;
    }
    if (work.pieces.copies()) work.pieces.copy(i, copy.data());
    const uint8_t* x = work.pieces.copies() ? copy.data() : nullptr;
    for (size_t b = 0; b < work.run.code.blocks().size(); ++b) work.sum_drawn(i, x, b, b + 1);
  };
  parallel_for(runner, work.pieces.count(), item);
  return missing ? no_memory() : Status();
}

/// Few pieces: their rows are copied once, then threads share the blocks.
Status run_by_blocks(Runner& runner, const Work& work, size_t parts) {
  const size_t pieces = work.pieces.count();
  const bool copies = work.pieces.copies();
  const size_t bytes = work.pieces.copy_bytes();
  const Scratch<uint8_t> copy(runner, copies ? pieces * bytes : 1);
  if (!copy) return no_memory();
  if (copies) {
    parallel_for(runner, pieces, [&](size_t i) { work.pieces.copy(i, copy.data() + i * bytes); });
  }
  const auto& blocks = work.run.code.blocks();
  const Split split(blocks.size(), parts);
  if (work.run.set) {
    parallel_for(runner, pieces * split.pieces, [&](size_t item) {
      const size_t i = item / split.pieces;
      const size_t part = item % split.pieces;
      const uint8_t* x = copies ? copy.data() + i * bytes : nullptr;
      for (size_t b = split.begin(part); b < split.end(part); ++b) work.sum_drawn(i, x, b, b + 1);
    });
    return {};
  }
  std::atomic<bool> missing{false};
  std::atomic<size_t> next{0};
  parallel_for(runner, split.pieces, [&](size_t) {
    if (next >= blocks.size()) return;
    const Scratch<int8_t> weights(runner, static_cast<size_t>(work.run.code.most_bytes()));
    if (!weights) {
      missing = true;
      return;
    }
    size_t after = 0;
    for (size_t b = next++; b < blocks.size(); b = after) {
      after = next++;  // taken before its turn, so that its code is fetched meanwhile
      work.draw_and_sum(b, after, copies ? copy.data() : nullptr, weights.data());
    }
  });
  return missing ? no_memory() : Status();
}

}  // namespace

bool draws_by_blocks(const GridCode& code, int64_t pixels) {
  return !code.depthwise() && code.blocks().size() >= kLeastBlocks && pixels <= kMostDrawn;
}

Status run_fixed_conv(Runner& runner, const FixedConvRun& run) {
  if (run.code.depthwise()) return run_float_depthwise(runner, run);
  const Work work(run);
  const size_t pieces = work.pieces.count();
  if (pieces == 0) return {};
  const size_t parts = run.set ? kPieces / pieces : kPieces;
  if (parts < 2) return run_by_pieces(runner, work);
  return run_by_blocks(runner, work, parts);
}

}  // namespace reluflow
