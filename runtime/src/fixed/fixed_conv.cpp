#include "fixed/fixed_conv.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "fixed/floats.h"

namespace reluflow {

namespace {

constexpr int64_t kBandPixels = 96;   // output pixels of one piece of work, at least
constexpr size_t kPieces = 12;        // pieces of work wanted, so that a few threads end together
constexpr int64_t kMostDrawn = 1024;  // output pixels beyond which a draw costs too little to hide
constexpr int64_t kLine = 64;         // bytes that a tile fetches per quad
constexpr size_t kLeastBlocks = 4;    // blocks below which drawing one by one idles threads

bool lies_in_place(const FixedConvRun& run) {
  if (run.conv.group_inputs % kQuad != 0) return false;
  for (int axis = 0; axis < 2; ++axis) {
    const int64_t last = (run.shape.output[axis] - 1) * run.conv.strides[axis] +
                         (run.conv.kernel[axis] - 1) * run.conv.dilations[axis] -
                         run.shape.begin[axis];
    if (run.shape.begin[axis] > 0 || last >= run.shape.input[axis]) return false;
  }
  return true;
}

BandLayout make_layout(const FixedConvRun& run) {
  BandLayout l{};
  l.copies = !lies_in_place(run);
  l.group_bytes = (run.conv.group_inputs + kQuad - 1) / kQuad * kQuad;
  l.pixel = l.copies ? l.group_bytes * run.conv.group : run.conv.inputs();
  const int64_t span = (run.conv.kernel[1] - 1) * run.conv.dilations[1] + 1;
  l.row = l.pixel *
          (l.copies ? (run.shape.output[1] - 1) * run.conv.strides[1] + span : run.shape.input[1]);
  l.step[0] = run.conv.strides[0];
  l.step[1] = run.conv.strides[1];
  return l;
}

std::vector<int32_t> make_offsets(const FixedConvRun& run, const BandLayout& layout) {
  std::vector<int32_t> offsets;
  offsets.reserve(static_cast<size_t>(run.code.quads()));
  for (int64_t c = 0; c < layout.group_bytes; c += kQuad) {
    for (int64_t i = 0; i < run.conv.kernel[0]; ++i) {
      for (int64_t j = 0; j < run.conv.kernel[1]; ++j) {
        offsets.push_back(static_cast<int32_t>(i * run.conv.dilations[0] * layout.row +
                                               j * run.conv.dilations[1] * layout.pixel + c));
      }
    }
  }
  return offsets;
}

/// The weights of one block of output channels, and how its sums become bytes.
struct Block {
  const OutputBlock& lanes;
  const int8_t* weights;
  const FixedStore& store;
  const uint8_t* ahead = nullptr;  // as many bytes as `weights` has, needed next, or null
};

/// A convolution as pieces, bands of rows of an image, each of which needs all blocks.
struct Work {
  const FixedConvRun& run;
  BandLayout layout;
  std::vector<int32_t> offsets;
  int64_t rows;   // of a piece
  int64_t bands;  // of an image

  explicit Work(const FixedConvRun& r)
      : run(r), layout(make_layout(r)), offsets(make_offsets(r, layout)) {
    const int64_t height = run.shape.output[0];
    rows = std::min(height, (kBandPixels + run.shape.output[1] - 1) / run.shape.output[1]);
    bands = (height + rows - 1) / rows;
  }

  size_t pieces() const { return static_cast<size_t>(run.shape.batch * bands); }
  size_t copy_bytes() const { return static_cast<size_t>(band_rows(run, rows) * layout.row); }

  struct Piece {
    int64_t image;
    int64_t begin;  // output rows
    int64_t end;
  };
  Piece piece(size_t i) const {
    const int64_t begin = static_cast<int64_t>(i) % bands * rows;
    return {static_cast<int64_t>(i) / bands, begin, std::min(run.shape.output[0], begin + rows)};
  }

  void copy(size_t i, uint8_t* to) const {
    const Piece p = piece(i);
    copy_band(run, layout, p.image, p.begin, p.end, to);
  }

  /// The first byte of the first window of a piece that is not copied.
  const uint8_t* in_place(size_t i) const {
    const Piece p = piece(i);
    const int64_t row =
        p.image * run.shape.input[0] + p.begin * layout.step[0] - run.shape.begin[0];
    return run.x + (row * run.shape.input[1] - run.shape.begin[1]) * layout.pixel;
  }

  /// A piece, whose windows begin at `x`, times one block.
  void sum(const Piece& at, const uint8_t* x, const Block& b) const {
    const int64_t width = run.shape.output[1];
    const int64_t outputs = run.conv.outputs;
    const uint8_t* pixels[kFixedPixels];
    const uint8_t* z[kFixedPixels];
    uint8_t* out[kFixedPixels];
    FixedTileArgs args{pixels,        offsets.data(),      b.weights, run.code.quads(), &b.store,
                       b.lanes.lanes, run.z ? z : nullptr, out,       nullptr,          nullptr};
    alignas(64) int32_t sums[kFixedPixels * kTileLanes];
    FloatScale scale;
    if (run.floats.y) {
      args.sums = sums;
      scale = float_scale(run, b.lanes);
    }
    x += b.lanes.group * layout.group_bytes;
    const int64_t count = (at.end - at.begin) * width;
    const int64_t tiles = (count + kFixedPixels - 1) / kFixedPixels;
    const int64_t first = ((at.image * run.shape.output[0] + at.begin) * width) * outputs;
    int64_t to = first + b.lanes.first;
    int64_t column = 0;
    int64_t pixel = at.begin * width;
    for (int64_t t = 0; t < tiles; ++t) {
      // Of nearly equal size: a tile of few pixels waits for its weights.
      const int tile = static_cast<int>(count / tiles + (t < count % tiles ? 1 : 0));
      for (int i = 0; i < tile; ++i, to += outputs) {
        pixels[i] = x + column * layout.step[1] * layout.pixel;
        out[i] = run.y ? run.y + to : nullptr;
        z[i] = run.z ? run.z + to : nullptr;
        if (++column == width) {
          column = 0;
          x += layout.step[0] * layout.row;
        }
      }
      const int64_t fetched = t * args.quads * kLine;
      args.ahead = b.ahead && fetched < run.code.bytes(b.lanes) ? b.ahead + fetched : nullptr;
      run.kernels.fixed_tile(tile, b.lanes.vectors, args);
      if (args.sums) {
        store_floats(run, b.lanes, scale, b.store, {at.image, pixel, tile}, args.sums);
        pixel += tile;
      }
    }
    if (run.table == nullptr) return;
    uint8_t* y = run.y + first + b.lanes.first;
    for (int64_t p = 0; p < count; ++p) {
      run.kernels.fixed_table(y + p * outputs, b.lanes.lanes, run.table);
    }
  }

  /// A piece times one block of the drawn set; block `after` comes next.
  void sum_drawn(size_t i, const uint8_t* x, size_t number, size_t after) const {
    const auto& blocks = run.code.blocks();
    const int8_t* weights = run.set->weights.data();
    const int8_t* ahead = after < blocks.size() ? weights + blocks[after].weights : nullptr;
    sum(piece(i), x,
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
    for (size_t i = 0; i < pieces(); ++i) {
      sum(piece(i), copies ? copies + i * copy_bytes() : in_place(i),
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
    const Scratch<uint8_t> copy(runner, work.layout.copies ? work.copy_bytes() : 1);
    if (!copy) {
      missing = true;
      return;
    }
    if (work.layout.copies) work.copy(i, copy.data());
    const uint8_t* x = work.layout.copies ? copy.data() : work.in_place(i);
    for (size_t b = 0; b < work.run.code.blocks().size(); ++b) work.sum_drawn(i, x, b, b + 1);
  };
  parallel_for(runner, work.pieces(), item);
  return missing ? no_memory() : Status();
}

/// Few pieces: their rows are copied once, then threads share the blocks.
Status run_by_blocks(Runner& runner, const Work& work, size_t parts) {
  const size_t pieces = work.pieces();
  const bool copies = work.layout.copies;
  const Scratch<uint8_t> copy(runner, copies ? pieces * work.copy_bytes() : 1);
  if (!copy) return no_memory();
  if (copies) {
    parallel_for(runner, pieces,
                 [&](size_t i) { work.copy(i, copy.data() + i * work.copy_bytes()); });
  }
  const auto& blocks = work.run.code.blocks();
  const Split split(blocks.size(), parts);
  if (work.run.set) {
    parallel_for(runner, pieces * split.pieces, [&](size_t item) {
      const size_t i = item / split.pieces;
      const size_t part = item % split.pieces;
      const uint8_t* x = copies ? copy.data() + i * work.copy_bytes() : work.in_place(i);
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

bool draws_by_blocks(const GridCode& code, const ConvShape& shape) {
  return !code.depthwise() && code.blocks().size() >= kLeastBlocks &&
         shape.batch * shape.pixels() <= kMostDrawn;
}

Status run_fixed_conv(Runner& runner, const FixedConvRun& run) {
  const Work work(run);
  const size_t pieces = work.pieces();
  if (pieces == 0) return {};
  if (run.code.depthwise()) return run_float_depthwise(runner, run);
  const size_t parts = run.set ? kPieces / pieces : kPieces;
  if (parts < 2) return run_by_pieces(runner, work);
  return run_by_blocks(runner, work, parts);
}

}  // namespace reluflow
