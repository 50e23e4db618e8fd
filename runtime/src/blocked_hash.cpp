#include "blocked_hash.h"

#include <algorithm>
#include <atomic>

namespace reluflow {

namespace {

constexpr int64_t kPieceBytes = 1 << 17;  ///< a piece stays in the second-level cache
constexpr int64_t kLeastSamples = 16;

/// How the samples of one outer index are cut into pieces.
struct Pieces {
  int64_t samples;  ///< of each but the last
  int64_t per_outer;

  explicit Pieces(const BlockedHashRun& run) {
    const int64_t bytes = std::max<int64_t>(run.units, 1) * static_cast<int64_t>(sizeof(float));
    samples = std::clamp<int64_t>(kPieceBytes / bytes, kLeastSamples, kHashSamples);
    per_outer = (run.inner + samples - 1) / samples;
  }
};

void add_up(const int32_t* counts, size_t pieces, size_t stride, int64_t units, int64_t* active) {
  std::fill(active, active + units, 0);
  for (size_t piece = 0; piece < pieces; ++piece) {
    const int32_t* row = counts + piece * stride;
    for (int64_t u = 0; u < units; ++u) active[u] += row[u];
  }
}

}  // namespace

std::vector<uint64_t> nibble_words(const std::vector<uint64_t>& words, int64_t units,
                                   int64_t block) {
  const int64_t groups = (units + block - 1) / block * block / 4;
  std::vector<uint64_t> nibbles(static_cast<size_t>(groups * 32), 0);
  for (int64_t g = 0; g < groups; ++g) {
    uint64_t* group = nibbles.data() + 32 * g;
    for (int64_t b = 1; b < 16; ++b) {
      const int64_t unit = 4 * g + __builtin_ctz(static_cast<unsigned>(b));
      for (int64_t half = 0; half < 2; ++half) {
        const uint64_t word = unit < units ? words[static_cast<size_t>(2 * unit + half)] : 0;
        group[2 * b + half] = group[2 * (b & (b - 1)) + half] ^ word;
      }
    }
  }
  return nibbles;
}

bool run_blocked_hash(Runner& runner, const BlockedHashRun& run) {
  const Pieces cut(run);
  const size_t pieces = static_cast<size_t>(run.outer * cut.per_outer);
  const int64_t blocks = (run.units + run.block - 1) / run.block;
  const size_t stride = static_cast<size_t>(blocks * run.block);
  Scratch<int32_t> counts(runner, pieces * stride);
  if (!counts) return false;
  std::atomic<int64_t> nonfinite{0};
  auto work = [&](size_t item) {
    const int64_t outer = static_cast<int64_t>(item) / cut.per_outer;
    const int64_t at = static_cast<int64_t>(item) % cut.per_outer * cut.samples;
    BlockedHashArgs args;
    args.x = run.x + (outer * blocks * run.inner + at) * run.block;
    args.block = run.block;
    args.block_stride = run.inner * run.block;
    args.units = run.units;
    args.samples = std::min(cut.samples, run.inner - at);
    args.nibbles = run.nibbles;
    args.threshold = run.threshold;
    args.keys = run.keys + 2 * (outer * run.inner + at);
    args.active = counts.data() + item * stride;
    args.nonfinite = 0;
    run.kernels.blocked_hash(args);
    if (args.nonfinite) nonfinite.fetch_add(args.nonfinite, std::memory_order_relaxed);
  };
  parallel_for(runner, pieces, work);
  add_up(counts.data(), pieces, stride, run.units, run.active);
  *run.nonfinite = nonfinite.load();
  return true;
}

}  // namespace reluflow
