#include "hash/hash.h"

#include <algorithm>
#include <atomic>

namespace reluflow {

namespace {

/// Samples begin .. begin + samples of one outer index, or of rows when units lie contiguous.
int64_t hash_piece(const HashRun& run, int64_t begin, int64_t samples) {
  HashArgs args;
  args.units = run.units;
  args.samples = samples;
  args.words = run.words;
  args.threshold = run.threshold;
  args.keys = run.keys + 2 * begin;
  args.active = run.active;
  args.nonfinite = 0;
  if (run.inner == 1) {
    args.x = run.x + begin * run.units;
    args.unit_stride = run.units;
    run.kernels.hash_rows(args);
  } else {
    args.x = run.x + begin / run.inner * run.units * run.inner + begin % run.inner;
    args.unit_stride = run.inner;
    run.kernels.hash(args);
  }
  return args.nonfinite;
}

}  // namespace

std::vector<uint64_t> unit_words(int64_t units, uint64_t seed) {
  std::vector<uint64_t> words(static_cast<size_t>(2 * units));
  uint64_t state = seed;
  for (uint64_t& word : words) {
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    word = z ^ (z >> 31);
  }
  return words;
}

void run_hash(Runner& runner, const HashRun& run) {
  std::fill(run.active, run.active + run.units, 0);
  std::atomic<int64_t> nonfinite{0};
  // A row of samples that lie side by side: the inner axis, or everything when it has length 1.
  const int64_t row = run.inner == 1 ? run.outer : run.inner;
  const int64_t rows = run.inner == 1 ? 1 : run.outer;
  const int64_t pieces = (row + kHashSamples - 1) / kHashSamples;
  auto work = [&](size_t item) {
    const int64_t i = static_cast<int64_t>(item);
    const int64_t at = i % pieces * kHashSamples;
    const int64_t samples = std::min<int64_t>(kHashSamples, row - at);
    const int64_t bad = hash_piece(run, i / pieces * row + at, samples);
    if (bad) nonfinite.fetch_add(bad, std::memory_order_relaxed);
  };
  parallel_for(runner, static_cast<size_t>(rows * pieces), work);
  *run.nonfinite = nonfinite.load();
}

}  // namespace reluflow
