#include "fixed16/conv16.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

namespace reluflow {

namespace {

constexpr int64_t kBandPixels = 98;   // output pixels of one piece of work, at least
constexpr size_t kPieces = 12;        // pieces of work wanted, so that a few threads end together
constexpr int64_t kMostDrawn = 1024;  // output pixels beyond which a draw costs too little to hide
constexpr int64_t kLine = 64;         // bytes that a tile fetches per pair
constexpr size_t kLeastBlocks = 4;    // blocks below which drawing one by one idles threads

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

/// A convolution as pieces, bands of rows of an image, each of which needs all blocks.
struct Work {
  const Run16& run;
  Layout16 layout;
  std::vector<int64_t> offsets;
  int64_t rows;   // of a piece
  int64_t bands;  // of an image

  explicit Work(const Run16& r) : run(r), layout(r), offsets(pair_offsets(r, layout)) {
    const int64_t height = run.shape.output[0];
    rows = std::min(height, (kBandPixels + run.shape.output[1] - 1) / run.shape.output[1]);
    bands = (height + rows - 1) / rows;
  }

  /// What is summed at once: output rows [begin, end) of an image, and where their windows begin.
  struct Piece {
    int64_t image;
    int64_t begin;
    int64_t end;
    const int16_t* x;
    size_t bound;  // of the weights' runs
  };

  size_t pieces() const { return static_cast<size_t>(run.shape.batch * bands); }
  size_t copy_size() const {
    return layout.copies ? static_cast<size_t>(band_rows(run, rows) * layout.row + 1) : 0;
  }

  /// Looks through what a piece sees, and copies it where it does not lie in place; false where a
  /// value is too large.
  bool open(size_t i, int16_t* copy, Largest* largest, Piece* out) const {
    const int64_t begin = static_cast<int64_t>(i) % bands * rows;
    const int64_t image = static_cast<int64_t>(i) / bands;
    const int64_t end = std::min(run.shape.output[0], begin + rows);
    Range16 range;
    if (!largest->see(run, image, rows_seen(run, begin, end), &range)) return false;
    if (layout.copies) copy_band(run, layout, image, begin, end, copy);
    const int64_t row = image * run.shape.input[0] + begin * run.conv.strides[0];
    *out = {image, begin, end, layout.copies ? copy : run.x + row * layout.row,
            run.weights.bound_of(range)};
    return true;
  }

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
  void sum(const Piece& at, const Block& block) const {
    const OutputBlock& lanes = run.weights.lanes().blocks()[block.number];
    const int64_t width = run.shape.output[1];
    const int64_t outputs = run.conv.outputs;
    const char* pixels[kMaxPixels];
    const int16_t* z[kMaxPixels];
    int16_t* out[kMaxPixels];
    const int16_t* x = at.x + lanes.group * run.conv.group_inputs;
    const int64_t count = (at.end - at.begin) * width;
    const int64_t tiles = (count + run.kernels.tile_pixels - 1) / run.kernels.tile_pixels;
    const int64_t line = static_cast<int64_t>(offsets.size()) * kLine;
    int64_t to = (at.image * run.shape.output[0] + at.begin) * width * outputs + lanes.first;
    int64_t column = 0;
    for (int64_t t = 0; t < tiles; ++t) {
      // Of nearly equal size: a tile of few pixels waits for its weights.
      const int tile = static_cast<int>(count / tiles + (t < count % tiles ? 1 : 0));
      for (int i = 0; i < tile; ++i, to += outputs) {
        pixels[i] =
            reinterpret_cast<const char*>(x + column * run.conv.strides[1] * run.conv.inputs());
        out[i] = run.y + to;
        z[i] = run.z ? run.z + to : nullptr;
        fetch(out[i], z[i], lanes.lanes);
        if (++column == width) {
          column = 0;
          x += run.conv.strides[0] * layout.row;
        }
      }
      const char* ahead = t * line < block.ahead_bytes ? block.ahead + t * line : nullptr;
      sum_tile(at, block, pixels, ahead,
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

  void sum_tile(const Piece& at, const Block& block, const char* const* pixels, const char* ahead,
                Fixed16StoreArgs store) const {
    alignas(64) int32_t low[kMaxPixels * kTileLanes];
    alignas(64) int32_t high[kMaxPixels * kTileLanes];
    const std::vector<int64_t>& ends = run.weights.sums(block.number).runs[at.bound];
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
    const Scratch<int16_t> copy(runner, work.copy_size());
    if (!copy) {
      missing = true;
      return;
    }
    Work::Piece piece;
    if (!work.open(i, copy.data(), largest, &piece)) return;
    for (size_t b = 0; b < work.run.weights.lanes().blocks().size(); ++b) {
      work.sum(piece, work.drawn(b));
    }
  };
  parallel_for(runner, work.pieces(), item);
  return missing ? no_memory() : Status();
}

/// Draws blocks one by one, and multiplies all pieces by each; threads share the blocks.
Status draw_and_sum(Runner& runner, const Work& work, const std::vector<Work::Piece>& pieces,
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
      for (const Work::Piece& piece : pieces) {
        work.sum(piece, block);
        block.ahead_bytes = 0;
      }
    }
  });
  return missing ? no_memory() : Status();
}

/// Few pieces: their rows are copied once, then threads share the blocks.
Status run_by_blocks(Runner& runner, const Work& work, size_t parts, Largest* largest) {
  const size_t count = work.pieces();
  const Scratch<int16_t> copy(runner, count * work.copy_size());
  if (!copy) return no_memory();
  std::vector<Work::Piece> pieces(count);
  std::atomic<bool> fits{true};
  parallel_for(runner, count, [&](size_t i) {
    if (!work.open(i, copy.data() + i * work.copy_size(), largest, &pieces[i])) fits = false;
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

bool draws_by_blocks16(const Weights16& weights, const ConvShape& shape) {
  const int64_t pixels = shape.batch * shape.pixels();
  const size_t least =
      pixels <= kBandPixels ? 1 : kLeastBlocks;  // one piece: blocks are all there is
  return !weights.depthwise() && weights.lanes().blocks().size() >= least && pixels <= kMostDrawn;
}

Status run_conv16(Runner& runner, const Run16& run) {
  const Work work(run);
  const size_t pieces = work.pieces();
  if (pieces == 0) return {};
  const size_t parts = run.set ? (kPieces + pieces - 1) / pieces : kPieces;  // 7 pieces are uneven
  Largest largest;
  RELUFLOW_RETURN_IF_BAD(parts < 2 ? run_by_pieces(runner, work, &largest)
                                   : run_by_blocks(runner, work, parts, &largest));
  return largest.check(run.psb);
}

}  // namespace reluflow
