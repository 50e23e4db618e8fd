#include "fixed/fixed_conv.h"

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

/// Addresses of neighbouring pixels, for one block.
struct Strip {
  const uint8_t* x = nullptr;
  const uint8_t* z = nullptr;
  uint8_t* y = nullptr;
  int64_t left = 0;  // pixels
};

/// A convolution as pieces, each of which needs all blocks.
struct Work {
  const FixedConvRun& run;
  FixedPieces pieces;

  explicit Work(const FixedConvRun& r) : run(r), pieces(r) {}

  Strip strip(const FixedPixels& pixels, const OutputBlock& lanes) const {
    const int64_t pixel = pixels.image * run.shape.pixels() + pixels.first;
    const int64_t to = pixel * run.conv.outputs + lanes.first;
    return {pixels.x + lanes.group * pieces.layout().group_bytes, run.z ? run.z + to : nullptr,
            run.y ? run.y + to : nullptr, pixels.count};
  }

  /// A piece, whose windows lie in `copy` if pieces are copied, times one block.
  void sum(const FixedPiece& piece, const uint8_t* copy, const Block& b) const {
    const uint8_t* x[kFixedPixels];
    const uint8_t* z[kFixedPixels];
    uint8_t* y[kFixedPixels];
    FixedTileArgs args{x,
                       pieces.offsets(piece).data(),
                       b.weights,
                       run.code.quads(),
                       &b.store,
                       b.lanes.lanes,
                       run.z ? z : nullptr,
                       y,
                       nullptr,
                       nullptr};
    alignas(64) int32_t sums[kFixedPixels * kTileLanes];
    FloatScale scale;
    if (run.floats.y) {
      args.sums = sums;
      scale = float_scale(run, b.lanes);
    }
    FixedPieces::Walk walk = pieces.walk(piece, copy);
    FixedPieces::Walk stored = walk;
    const int64_t x_step = walk.step();
    const int64_t y_step = run.y ? run.conv.outputs : 0;
    const int64_t z_step = run.z ? run.conv.outputs : 0;
    const int64_t tiles = (piece.pixels + kFixedPixels - 1) / kFixedPixels;
    Strip at;
    for (int64_t t = 0; t < tiles; ++t) {
      // Of nearly equal size: a tile of few pixels waits for its weights.
      const int tile = static_cast<int>(piece.pixels / tiles + (t < piece.pixels % tiles ? 1 : 0));
      for (int p = 0; p < tile; ++p, --at.left, at.x += x_step, at.z += z_step, at.y += y_step) {
        if (at.left == 0) at = strip(walk.take(piece.pixels), b.lanes);
        x[p] = at.x;
        z[p] = at.z;
        y[p] = at.y;
      }
      const int64_t fetched = t * args.quads * kLine;
      args.ahead = b.ahead && fetched < run.code.bytes(b.lanes) ? b.ahead + fetched : nullptr;
      run.kernels.fixed_tile(tile, b.lanes.vectors, args);
      if (run.floats.y) store_tile(b, scale, tile, sums, &stored);
      for (int p = 0; run.table && p < tile; ++p) {
        run.kernels.fixed_table(y[p], b.lanes.lanes, run.table);
      }
    }
  }

  /// Stores the sums of the next pixels as floats.
  void store_tile(const Block& b, const FloatScale& scale, int64_t pixels, const int32_t* sums,
                  FixedPieces::Walk* walk) const {
    for (int64_t p = 0; p < pixels;) {
      const FixedPixels span = walk->take(pixels - p);
      store_floats(run, b.lanes, scale, b.store, span, sums + p * kTileLanes);
      p += span.count;
    }
  }

  /// A piece times one block of the drawn set; block `after` comes next.
  void sum_drawn(const FixedPiece& piece, const uint8_t* copy, size_t number, size_t after) const {
    const auto& blocks = run.code.blocks();
    const int8_t* weights = run.set->weights.data();
    const int8_t* ahead = after < blocks.size() ? weights + blocks[after].weights : nullptr;
    sum(piece, copy,
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
      sum(pieces.piece(i), copies ? copies + i * pieces.copy_bytes() : nullptr,
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
    const FixedPiece piece = work.pieces.piece(i);
    const Scratch<uint8_t> copy(runner, piece.copied ? work.pieces.copy_bytes() : 1);
    if (!copy) {
      missing = true;
      return;
    }
    if (piece.copied) work.pieces.copy(piece, copy.data());
    for (size_t b = 0; b < work.run.code.blocks().size(); ++b) {
      work.sum_drawn(piece, copy.data(), b, b + 1);
    }
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
    parallel_for(runner, pieces, [&](size_t i) {
      const FixedPiece piece = work.pieces.piece(i);
      if (piece.copied) work.pieces.copy(piece, copy.data() + i * bytes);
    });
  }
  const auto& blocks = work.run.code.blocks();
  const Split split(blocks.size(), parts);
  if (work.run.set) {
    parallel_for(runner, pieces * split.pieces, [&](size_t item) {
      const size_t i = item / split.pieces;
      const FixedPiece piece = work.pieces.piece(i);
      const size_t part = item % split.pieces;
      const uint8_t* x = copies ? copy.data() + i * bytes : nullptr;
      for (size_t b = split.begin(part); b < split.end(part); ++b) {
        work.sum_drawn(piece, x, b, b + 1);
      }
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
