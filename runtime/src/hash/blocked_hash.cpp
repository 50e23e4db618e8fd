#include "hash/blocked_hash.h"

#include <algorithm>
#include <atomic>

#include "hash/hash.h"

namespace reluflow {

namespace {

constexpr int64_t kPieceBytes = 1 << 17;  ///< a piece stays in the second-level cache
constexpr int64_t kLeastSamples = 16;     ///< of wide sites: a vector of AVX-512 is full
constexpr unsigned kNibbles = 16;         ///< patterns of 4 units
constexpr size_t kNibbleWords = 2 * kNibbles;

/// How the samples of one outer index are divided into pieces.
struct Pieces {
  int64_t samples;  ///< of each piece but the last
  int64_t per_outer;

  explicit Pieces(const BlockedHashRun& run) {
    const int64_t bytes = run.words.units * static_cast<int64_t>(sizeof(float));
    samples = std::clamp<int64_t>(kPieceBytes / bytes, kLeastSamples, kBlockedSamples);
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

BlockedWords::BlockedWords(int64_t units_, int64_t block_, uint64_t seed)
    : units(units_), block(block_), words(unit_words(units_, seed)) {
  words.resize(static_cast<size_t>(2 * blocks() * block), 0);
  const size_t groups = words.size() / 8;
  nibbles.assign(groups * kNibbleWords, 0);
  for (size_t g = 0; g < groups; ++g) {
    uint64_t* group = nibbles.data() + kNibbleWords * g;
    // A pattern without its lowest set bit came earlier: one XOR each.
    for (unsigned b = 1; b < kNibbles; ++b) {
      const uint64_t* word = words.data() + 8 * g + 2 * static_cast<size_t>(__builtin_ctz(b));
      group[2 * b] = group[2 * (b & (b - 1))] ^ word[0];
      group[2 * b + 1] = group[2 * (b & (b - 1)) + 1] ^ word[1];
    }
  }
}

bool run_blocked_hash(Runner& runner, const BlockedHashRun& run) {
  const Pieces cut(run);
  const BlockedWords& words = run.words;
  const size_t pieces = static_cast<size_t>(run.outer * cut.per_outer);
  const size_t stride = static_cast<size_t>(words.blocks() * words.block);
  Scratch<int32_t> counts(runner, pieces * stride);
  if (!counts) return false;
  std::atomic<int64_t> nonfinite{0};
  auto work = [&](size_t item) {
    const int64_t outer = static_cast<int64_t>(item) / cut.per_outer;
    const int64_t at = static_cast<int64_t>(item) % cut.per_outer * cut.samples;
    BlockedHashArgs args;
    args.x = run.x + (outer * words.blocks() * run.inner + at) * words.block;
    args.block = words.block;
    args.block_stride = run.inner * words.block;
    args.units = words.units;
    args.samples = std::min(cut.samples, run.inner - at);
    args.words = words.words.data();
    args.nibbles = words.nibbles.data();
    args.threshold = run.threshold;
    args.keys = run.keys + 2 * (outer * run.inner + at);
    args.active = counts.data() + item * stride;
    args.nonfinite = 0;
    run.kernels.blocked_hash(args);
    if (args.nonfinite) nonfinite.fetch_add(args.nonfinite, std::memory_order_relaxed);
  };
  parallel_for(runner, pieces, work);
  add_up(counts.data(), pieces, stride, words.units, run.active);
  *run.nonfinite = nonfinite.load();
  return true;
}

}  // namespace reluflow
