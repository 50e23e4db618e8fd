#include "sums/matmul.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "inputs/activations.h"
#include "sums/gemm.h"
#include "sums/per_product.h"

namespace reluflow {

namespace {

void pack_rows(Runner& runner, const MatMulRun& run, int f, int32_t* out) {
  const int64_t pairs = (run.inner + 1) / 2;
  const float scale = power_of_two(f);
  const float limit = static_cast<float>(run.psb.limit());
  const Split split(static_cast<size_t>(run.rows),
                    static_cast<size_t>(run.rows * pairs) / kWordsPerItem + 1);
  auto work = [&](size_t item) {
    for (size_t r = split.begin(item); r < split.end(item); ++r) {
      const float* a = run.a + static_cast<int64_t>(r) * run.inner;
      int32_t* to = out + static_cast<int64_t>(r) * pairs;
      run.kernels.pack_row(a, a + 1, run.inner / 2, 2, scale, limit, to);
      if (run.inner % 2) {
        run.kernels.pack_row(a + run.inner - 1, nullptr, 1, 1, scale, limit, to + pairs - 1);
      }
    }
  };
  parallel_for(runner, split.pieces, work);
}

struct RowWork {
  const MatMulRun& run;
  const int32_t* packed;
  const int64_t* taps;
  const int16_t* weights;     // or null: chunks draw them on their way
  const Epilogue* epilogues;  // one per block

  /// The part of a block's rows; `drawn` is where its weights are drawn to, or null.
  void chunk(size_t number, int64_t begin, int64_t end, int16_t* drawn) const {
    const OutputBlock& block = run.weights.lanes().blocks()[number];
    const int64_t pairs = (run.inner + 1) / 2;
    GemmInput in;
    in.count = static_cast<int>(end - begin);
    in.taps = taps;
    in.ends = &run.weights.lanes().order().ends;
    in.runs = run.weights.lanes().runs(number).data();
    for (int64_t r = begin; r < end; ++r) {
      in.pixels[r - begin] = reinterpret_cast<const char*>(packed + r * pairs);
    }
    if (drawn) {
      BlockDraw draw(run.weights.lanes(), number, run.kernels, run.precision,
                     make_key(run.precision.seed, run.psb.stream), drawn);
      draw(0, pairs);
    }
    alignas(64) float sums[(kChunkPixels + kSpareRows) * kTileLanes];
    gemm_chunk(run.kernels, in, block, drawn ? drawn : weights + block.weights, sums);
    StoreArgs s = epilogues[number].args(run.psb, block.lanes, run.bias != nullptr);
    s.sums = sums;
    s.pixels = in.count;
    s.stride = run.psb.channels;
    const int64_t at = begin * s.stride + block.first;
    s.out = run.y + at;
    s.z = run.z ? run.z + at : nullptr;
    run.kernels.store_rows(s);
  }
};

/// Chunks of whole tiles, as equal as they can be.
Split split_rows(const MatMulRun& run) {
  const int64_t tile = run.kernels.tile_pixels;
  const size_t tiles = static_cast<size_t>((run.rows + tile - 1) / tile);
  const size_t per_chunk = tiles_per_chunk(tile);
  return Split(tiles, (tiles + per_chunk - 1) / per_chunk);
}

Status run_chunks(Runner& runner, const RowWork& work) {
  const int64_t tile = work.run.kernels.tile_pixels;
  const int64_t rows = work.run.rows;
  const Split split = split_rows(work.run);
  const int64_t size = work.weights ? 0 : (work.run.inner + 1) / 2 * 2 * kTileLanes;
  std::atomic<bool> missing{false};
  const size_t blocks = work.run.weights.lanes().blocks().size();
  auto item = [&](size_t i) {
    const int64_t begin = static_cast<int64_t>(split.begin(i % split.pieces)) * tile;
    const int64_t end = static_cast<int64_t>(split.end(i % split.pieces)) * tile;
    const Scratch<int16_t> drawn(runner, static_cast<size_t>(size));
    if (!drawn) {
      missing = true;
      return;
    }
    work.chunk(i / split.pieces, begin, std::min(end, rows), size ? drawn.data() : nullptr);
  };
  parallel_for(runner, split.pieces * blocks, item);
  return missing ? Status("memory for drawn weights is missing; give fewer rows.") : Status();
}

}  // namespace

Status run_matmul(Runner& runner, const MatMulRun& run) {
  if (run.rows == 0) return {};
  const int f = activation_exponent(runner, run.kernels, run.psb, run.a, run.rows * run.inner);
  const int64_t pairs = (run.inner + 1) / 2;
  const Scratch<int32_t> packed(runner, static_cast<size_t>(run.rows * pairs));
  if (!packed) return Status("memory for the packed input is missing; give fewer rows.");
  std::vector<int64_t> offsets(static_cast<size_t>(pairs));
  const bool per_product = run.weights.path() == Path::kPerProduct;
  const int64_t unit = per_product ? 1 : static_cast<int64_t>(sizeof(int32_t));
  for (int64_t p = 0; p < pairs; ++p) offsets[static_cast<size_t>(p)] = p * unit;
  pack_rows(runner, run, f, packed.data());
  if (per_product) {
    const ProductRun products{run.psb,
                              run.weights.code(),
                              run.precision,
                              f,
                              run.emax,
                              run.bias,
                              {1, run.psb.channels, run.inner, 1}};
    auto item = [&](size_t r) {
      const int64_t row = static_cast<int64_t>(r);
      const int64_t at = row * run.psb.channels;
      position(products, row, packed.data() + row * pairs, offsets.data(), 0,
               {run.y + at, run.z ? run.z + at : nullptr, 1});
    };
    parallel_for(runner, static_cast<size_t>(run.rows), item);
    return {};
  }
  // Few rows use each weight once: a seed's first run draws them on the way, and keeps none.
  auto set = run.weights.find(run.precision);
  if (!set && (run.weights.repeats(run.precision) || split_rows(run).pieces > 1)) {
    set = run.weights.sample(runner, run.kernels, run.psb, run.precision);
  }
  const std::vector<Epilogue> epilogues =
      make_epilogues(run.weights.lanes().blocks(), run.precision, f, run.emax, run.bias);
  return run_chunks(runner, {run, packed.data(), offsets.data(), set ? set.weights() : nullptr,
                             epilogues.data()});
}

}  // namespace reluflow
