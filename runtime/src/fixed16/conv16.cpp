#include "fixed16/conv16.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "fixed16/windows16.h"

namespace reluflow {

namespace {

constexpr size_t kPieces = 12;        // pieces of work wanted, so that a few threads end together
constexpr int64_t kMostDrawn = 1024;  // output pixels beyond which a draw costs too little to hide
constexpr int64_t kLine = 64;         // bytes that a tile fetches per pair
constexpr size_t kLeastBlocks = 4;    // blocks below which drawing one by one idles threads

/// The weights of one block of output channels.
struct Block {
  size_t number;
  const int16_t* weights;
  const char* ahead;    // what comes next, or null
  int64_t ahead_bytes;  // of it
};

/// Bytes of a block's weights, drawn or as words.
int64_t bytes_of(const LaneCode& lanes, size_t block) {
  return (lanes.end_of(block) - lanes.blocks()[block].weights) * 2;
}

/// A convolution as pieces, each of which needs all blocks.
struct Work {
  const Run16& run;
  Windows16 windows;
  std::vector<int64_t> offsets;

  explicit Work(const Run16& r) : run(r), windows(r), offsets(windows.offsets()) {}

  /// A block of the drawn set, and the one behind it.
  Block drawn(size_t number) const {
    const auto& blocks = run.weights.lanes().blocks();
    const int16_t* weights = run.set->weights.data();
    Block b{number, weights + blocks[number].weights, nullptr, 0};
    if (number + 1 == blocks.size()) return b;
    b.ahead = reinterpret_cast<const char*>(weights + blocks[number + 1].weights);
    b.ahead_bytes = bytes_of(run.weights.lanes(), number + 1);
    return b;
  }

  /// A piece times one block.
  void sum(const Piece16& piece, const Block& block) const {
    const OutputBlock& lanes = run.weights.lanes().blocks()[block.number];
    const int64_t outputs = run.conv.outputs;
    const int64_t step = windows.step();
    const int64_t group = lanes.group * run.conv.group_inputs;
    const char* pixels[kMaxPixels];
    const int16_t* z[kMaxPixels];
    int16_t* out[kMaxPixels];
    const int64_t tiles = (piece.pixels + run.kernels.tile_pixels - 1) / run.kernels.tile_pixels;
    const int64_t line = static_cast<int64_t>(offsets.size()) * kLine;
    const Stretch16* stretch = piece.stretches.data();
    const int16_t* x = stretch->x + group;
    int64_t to = stretch->first * outputs + lanes.first;
    int64_t left = stretch->length;
    for (int64_t t = 0; t < tiles; ++t) {
      // Of nearly equal size: a tile of few pixels waits for its weights.
      const int tile = static_cast<int>(piece.pixels / tiles + (t < piece.pixels % tiles ? 1 : 0));
      for (int i = 0; i < tile; ++i, x += step, to += outputs) {
        if (left == 0) {
          ++stretch;
          x = stretch->x + group;
          to = stretch->first * outputs + lanes.first;
          left = stretch->length;
        }
        --left;
        pixels[i] = reinterpret_cast<const char*>(x);
        out[i] = run.y + to;
        z[i] = run.z ? run.z + to : nullptr;
        fetch(out[i], z[i], lanes.lanes);
      }
      const char* ahead = t * line < block.ahead_bytes ? block.ahead + t * line : nullptr;
      sum_tile(piece, block, pixels, ahead,
               {&run.stores.stores[block.number], nullptr, nullptr, tile, lanes.lanes,
                run.z ? z : nullptr, out});
    }
  }

  /// What a store will need after the sum of its tile.
  static void fetch(const int16_t* out, const int16_t* z, int lanes) {
#ifdef __GNUC__
    constexpr int kLineValues = kLine / sizeof(int16_t);
    for (int at = 0; at < lanes; at += kLineValues) {
      __builtin_prefetch(out + at, 1);
      if (z) __builtin_prefetch(z + at, 0);
    }
#endif
  }

  void sum_tile(const Piece16& piece, const Block& block, const char* const* pixels,
                const char* ahead, Fixed16StoreArgs store) const {
    alignas(64) int32_t low[kMaxPixels * kTileLanes];
    alignas(64) int32_t high[kMaxPixels * kTileLanes];
    const std::vector<int64_t>& ends = run.weights.sums(block.number).runs[piece.bound];
    const int64_t runs = static_cast<int64_t>(ends.size());
    const char* fetched = ahead ? ahead : reinterpret_cast<const char*>(block.weights);
    run.kernels.tile_runs(store.pixels, run.weights.lanes().blocks()[block.number].vectors,
                          {pixels, offsets.data(), block.weights, ends.data(), runs, low, high,
                           fetched, ahead ? kLine : 0});
    store.sums = low;
    store.high = runs > 1 ? high : nullptr;
    run.kernels.fixed16_store(store);
  }
};

Status no_memory() {
  return Status("memory for the padded input is missing; give a smaller input.");
}

/// Many pieces: each copies its own rows and is multiplied by all blocks.
Status run_by_pieces(Runner& runner, const Work& work, Largest* largest) {
  std::atomic<bool> missing{false};
  const auto item = [&](size_t i) {
    const Scratch<int16_t> copy(runner, work.windows.copy_size());
    if (!copy) {
      missing = true;
      return;
    }
    Piece16 piece;
    if (!work.windows.open(i, copy.data(), largest, &piece)) return;
    for (size_t b = 0; b < work.run.weights.lanes().blocks().size(); ++b) {
      work.sum(piece, work.drawn(b));
    }
  };
  parallel_for(runner, work.windows.pieces(), item);
  return missing ? no_memory() : Status();
}

/// Draws blocks one by one, and multiplies all pieces by each; threads share the blocks.
Status draw_and_sum(Runner& runner, const Work& work, const std::vector<Piece16>& pieces,
                    size_t threads) {
  const LaneCode& lanes = work.run.weights.lanes();
  const Run16& run = work.run;
  const Key key = make_key(run.precision.seed, run.psb.stream);
  const int64_t pairs = static_cast<int64_t>(lanes.order().pairs.size());
  std::atomic<bool> missing{false};
  std::atomic<size_t> next{0};
  parallel_for(runner, threads, [&](size_t) {
    if (next >= lanes.blocks().size()) return;
    const Scratch<int16_t> weights(runner, static_cast<size_t>(pairs * 2 * kTileLanes));
    if (!weights) {
      missing = true;
      return;
    }
    size_t after = 0;
    for (size_t b = next++; b < lanes.blocks().size(); b = after) {
      after = next++;  // taken before its turn, so that its words are fetched meanwhile
      const bool last = after >= lanes.blocks().size();
      Block block{b, weights.data(), nullptr, 0};
      if (!last) block = {b, weights.data(), lanes.words(after), bytes_of(lanes, after)};
      BlockDraw draw(lanes, b, run.kernels, run.precision, key, weights.data());
      draw(0, pairs);
      for (const Piece16& piece : pieces) {
        work.sum(piece, block);
        block.ahead_bytes = 0;
      }
    }
  });
  return missing ? no_memory() : Status();
}

/// Few pieces: their rows are copied once, then threads share the blocks.
Status run_by_blocks(Runner& runner, const Work& work, size_t parts, Largest* largest) {
  const size_t count = work.windows.pieces();
  const Scratch<int16_t> copy(runner, count * work.windows.copy_size());
  if (!copy) return no_memory();
  std::vector<Piece16> pieces(count);
  std::atomic<bool> fits{true};
  parallel_for(runner, count, [&](size_t i) {
    if (!work.windows.open(i, copy.data() + i * work.windows.copy_size(), largest, &pieces[i]))
      fits = false;
  });
  if (!fits) return {};
  const Split split(work.run.weights.lanes().blocks().size(), parts);
  if (!work.run.set) return draw_and_sum(runner, work, pieces, split.pieces);
  // Pieces of one part in turn: its weights are in reach.
  parallel_for(runner, count * split.pieces, [&](size_t item) {
    const size_t part = item / count;
    for (size_t b = split.begin(part); b < split.end(part); ++b) {
      work.sum(pieces[item % count], work.drawn(b));
    }
  });
  return {};
}

}  // namespace

bool draws_by_blocks16(const Weights16& weights, int64_t pixels) {
  const size_t least =
      pixels <= kPiecePixels ? 1 : kLeastBlocks;  // one piece: blocks are all there is
  return !weights.depthwise() && weights.lanes().blocks().size() >= least && pixels <= kMostDrawn;
}

Status run_conv16(Runner& runner, const Run16& run) {
  const Work work(run);
  const size_t pieces = work.windows.pieces();
  if (pieces == 0) return {};
  const size_t parts = run.set ? (kPieces + pieces - 1) / pieces : kPieces;  // 7 pieces are uneven
  Largest largest;
  RELUFLOW_RETURN_IF_BAD(parts < 2 ? run_by_pieces(runner, work, &largest)
                                   : run_by_blocks(runner, work, parts, &largest));
  return largest.check(run.psb);
}

}  // namespace reluflow
