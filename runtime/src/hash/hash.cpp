#include "hash/hash.h"

#include <algorithm>
#include <atomic>

namespace reluflow {

namespace {

constexpr int64_t kAligned = 64;           ///< samples whose bits make one word
constexpr int64_t kRangeValues = 1 << 18;  ///< pre-activations of a range: 1 MiB, 20 to 40 us
constexpr int64_t kLeastSamples = 64;      ///< of a range: its counts take as long as one sample

void run_kernel(const Kernels& kernels, bool rows, HashArgs<float>& args) {
  (rows ? kernels.hash_rows : kernels.hash)(args);
}

void run_kernel(const Kernels& kernels, bool rows, HashArgs<double>& args) {
  (rows ? kernels.hash_double_rows : kernels.hash_doubles)(args);
}

/// Samples that a kernel takes at once, from `begin` on: neighbours in memory, of one outer index.
template <class T>
int64_t neighbours(const HashRange<T>& range, int64_t begin) {
  const int64_t left = range.end - begin;
  if (range.inner == 1) return std::min<int64_t>(left, kHashSamples);
  const int64_t row = std::min(left, range.inner - begin % range.inner);
  const int64_t pieces = (row + kHashSamples - 1) / kHashSamples;
  return std::min(row, (row / pieces + kAligned - 1) / kAligned * kAligned);  // none is small
}

}  // namespace

template <class T>
int64_t hash_range(const Kernels& kernels, const HashRange<T>& range) {
  const bool rows = range.inner == 1;
  HashArgs<T> args{};
  args.unit_stride = rows ? range.units : range.inner;
  args.units = range.units;
  args.words = range.words;
  args.threshold = range.threshold;
  args.active = range.active;
  int64_t nonfinite = 0;
  for (int64_t at = range.begin; at < range.end; at += args.samples) {
    args.samples = neighbours(range, at);
    args.x = range.x + at / range.inner * range.units * range.inner + at % range.inner;
    args.keys = range.keys + 2 * at;
    run_kernel(kernels, rows, args);
    nonfinite += args.nonfinite;
  }
  return nonfinite;
}

template int64_t hash_range(const Kernels& kernels, const HashRange<float>& range);
template int64_t hash_range(const Kernels& kernels, const HashRange<double>& range);

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

bool run_hash(Runner& runner, const HashRun& run) {
  std::fill(run.active, run.active + run.units, 0);
  *run.nonfinite = 0;
  // Ranges of about as many pre-activations each; their counts are added up afterwards.
  const int64_t samples = run.outer * run.inner;
  const int64_t size = std::clamp<int64_t>(kRangeValues / std::max<int64_t>(run.units, 1),
                                           kLeastSamples, std::max(samples, kLeastSamples));
  const size_t ranges = static_cast<size_t>((samples + size - 1) / size);
  const size_t stride = static_cast<size_t>(run.units);
  Scratch<int64_t> counts(runner, ranges * stride);
  if (!counts) return false;
  std::atomic<int64_t> nonfinite{0};
  auto work = [&](size_t item) {
    int64_t* active = counts.data() + item * stride;
    std::fill(active, active + stride, 0);
    const int64_t begin = static_cast<int64_t>(item) * size;
    const int64_t bad =
        hash_range<float>(run.kernels, {run.x, run.units, run.inner, run.threshold, run.words,
                                        begin, std::min(begin + size, samples), run.keys, active});
    if (bad) nonfinite.fetch_add(bad, std::memory_order_relaxed);
  };
  parallel_for(runner, ranges, work);
  for (size_t item = 0; item < ranges; ++item) {
    for (size_t u = 0; u < stride; ++u) run.active[u] += counts.data()[item * stride + u];
  }
  *run.nonfinite = nonfinite.load();
  return true;
}

}  // namespace reluflow
