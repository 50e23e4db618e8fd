#include "sums/conv_region.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "inputs/packed_input.h"
#include "inputs/pieces.h"
#include "sums/depthwise.h"
#include "sums/gemm.h"
#include "sums/per_product.h"

namespace reluflow {

namespace {

/// Pieces below which threads share the blocks and chunks of each, packed once before.
constexpr size_t kFewPieces = 12;

Status no_memory() {
  return Status("memory for the packed input is missing; give a smaller input.");
}

struct RegionWork {
  const ConvRun& run;
  const Pieces& pieces;
  const RowPacker& packer;
  const int64_t* taps;  // byte offsets
  const int16_t* weights;
  const Epilogue* epilogues;  // one per block

  size_t blocks() const { return run.weights.lanes().blocks().size(); }
  size_t most_chunks() const { return split_windows(run.kernels, Pieces::kMostPixels).pieces; }
  void pack(size_t piece, int32_t* to) const { pieces.pack(piece, packer, run.x, to); }

  /// Chunk number `chunk` of a piece, if it has so many, times one block of outputs.
  void sum(size_t piece, const int32_t* packed, size_t number, size_t chunk) const {
    const Split split = split_windows(run.kernels, pieces.pixels(piece));
    if (chunk >= split.pieces) return;
    const int64_t tile = run.kernels.tile_pixels;
    const int64_t begin = static_cast<int64_t>(split.begin(chunk)) * tile;
    const int64_t end =
        std::min(static_cast<int64_t>(split.end(chunk)) * tile, pieces.pixels(piece));
    const OutputBlock& block = run.weights.lanes().blocks()[number];
    GemmInput in;
    in.taps = taps;
    in.ends = &run.weights.lanes().order().ends;
    in.runs = run.weights.lanes().runs(number).data();
    in.count = 0;
    const PackedLayout& layout = pieces.layout();
    packed += block.group * layout.group_pairs() * layout.plane_stride;
    pieces.visit(piece, begin, end, [&](const Pieces::Part& part) {
      for (int64_t i = 0; i < part.length; ++i) {
        in.pixels[in.count++] =
            reinterpret_cast<const char*>(packed + part.window + i * run.shape.window_step[1]);
      }
    });
    alignas(64) float sums[(kChunkPixels + kSpareRows) * kTileLanes];
    gemm_chunk(run.kernels, in, block, weights + block.weights, sums);
    StoreArgs s = epilogues[number].args(run.psb, block.lanes, run.bias != nullptr);
    s.sums = sums;
    s.stride = run.shape.pixels();
    pieces.visit(piece, begin, end, [&](const Pieces::Part& part) { store(block, part, &s); });
  }

  /// Writes one part of a chunk, whose sums come next.
  void store(const OutputBlock& block, const Pieces::Part& part, StoreArgs* s) const {
    const int64_t at = (part.run.image * run.conv.outputs + block.first) * s->stride +
                       part.run.row * run.shape.output[1] + part.run.column + part.skipped;
    s->pixels = static_cast<int>(part.length);
    s->out = run.y + at;
    s->z = run.z ? run.z + at : nullptr;
    run.kernels.store_planar(*s);
    s->sums += part.length * kTileLanes;
  }
};

/// Each piece is packed by the thread that sums it.
Status run_by_pieces(Runner& runner, const RegionWork& work) {
  std::atomic<bool> missing{false};
  parallel_for(runner, work.pieces.count(), [&](size_t piece) {
    const Scratch<int32_t> packed(runner, static_cast<size_t>(work.pieces.packed_size()));
    if (!packed) {
      missing = true;
      return;
    }
    work.pack(piece, packed.data());
    for (size_t block = 0; block < work.blocks(); ++block) {
      for (size_t chunk = 0; chunk < work.most_chunks(); ++chunk) {
        work.sum(piece, packed.data(), block, chunk);
      }
    }
  });
  return missing ? no_memory() : Status();
}

/// All pieces are packed, then threads share their blocks and chunks.
Status run_by_blocks(Runner& runner, const RegionWork& work) {
  const size_t count = work.pieces.count();
  const size_t size = static_cast<size_t>(work.pieces.packed_size());
  const Scratch<int32_t> packed(runner, count * size);
  if (!packed) return no_memory();
  parallel_for(runner, count,
               [&](size_t piece) { work.pack(piece, packed.data() + piece * size); });
  const size_t chunks = work.most_chunks();
  parallel_for(runner, work.blocks() * count * chunks, [&](size_t item) {
    const size_t piece = item / chunks % count;  // pieces of a block in turn: its weights are near
    work.sum(piece, packed.data() + piece * size, item / chunks / count, item % chunks);
  });
  return {};
}

Status run_tiles(Runner& runner, const ConvRun& run, const Pieces& pieces, const RowPacker& packer,
                 const int16_t* weights, int f) {
  const LaneCode& lanes = run.weights.lanes();
  std::vector<int64_t> taps = pieces.layout().word_offsets(lanes.order());
  for (int64_t& tap : taps) tap *= static_cast<int64_t>(sizeof(int32_t));
  const std::vector<Epilogue> epilogues =
      make_epilogues(lanes.blocks(), run.precision, f, run.emax, run.bias);
  const RegionWork work{run, pieces, packer, taps.data(), weights, epilogues.data()};
  return pieces.count() < kFewPieces ? run_by_blocks(runner, work) : run_by_pieces(runner, work);
}

Status run_products(Runner& runner, const ConvRun& run, const Pieces& pieces,
                    const RowPacker& packer, int f) {
  const std::vector<int64_t> offsets = pieces.layout().pair_offsets();
  const int64_t pixels = run.shape.pixels();
  const ProductRun products = product_run(run, f);
  const int64_t group = pieces.layout().group_pairs() * pieces.layout().plane_stride;
  std::atomic<bool> missing{false};
  parallel_for(runner, pieces.count(), [&](size_t piece) {
    const Scratch<int32_t> packed(runner, static_cast<size_t>(pieces.packed_size()));
    if (!packed) {
      missing = true;
      return;
    }
    pieces.pack(piece, packer, run.x, packed.data());
    pieces.visit(piece, 0, pieces.pixels(piece), [&](const Pieces::Part& part) {
      for (int64_t i = 0; i < part.length; ++i) {
        const int64_t v = part.run.row * run.shape.output[1] + part.run.column + i;
        const int64_t at = part.run.image * run.conv.outputs * pixels + v;
        position(products, part.run.image * pixels + v,
                 packed.data() + part.window + i * run.shape.window_step[1], offsets.data(), group,
                 {run.y + at, run.z ? run.z + at : nullptr, pixels});
      }
    });
  });
  return missing ? no_memory() : Status();
}

}  // namespace

Status run_region(Runner& runner, const ConvRun& run, int f) {
  const bool per_product = run.weights.path() == Path::kPerProduct;
  WeightCache::Lease set;
  if (!per_product) set = run.weights.sample(runner, run.kernels, run.psb, run.precision);
  if (run.weights.path() == Path::kDepthwise) {
    return run_depthwise_region(runner, run, set.weights(), f);
  }
  const PackedLayout whole{run.conv, run.shape, run.shape.plane()};
  const RowPacker packer(run.kernels, whole, f, run.psb.limit(),
                         per_product ? 0 : run.weights.lanes().order().neighbour);
  const Pieces pieces(run.conv, run.shape, *run.region);
  if (per_product) return run_products(runner, run, pieces, packer, f);
  return run_tiles(runner, run, pieces, packer, set.weights(), f);
}

}  // namespace reluflow
