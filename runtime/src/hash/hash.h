// Fingerprints of activation patterns without the host.
#ifndef RELUFLOW_HASH_HASH_H
#define RELUFLOW_HASH_HASH_H

#include <cstdint>
#include <vector>

#include "base/runner.h"
#include "kernels/kernels.h"

namespace reluflow {

/// Two random words of each unit: outputs 2 i and 2 i + 1 of SplitMix64 started at `seed`.
std::vector<uint64_t> unit_words(int64_t units, uint64_t seed);

/// One tensor `[outer, units, inner]`; sample number = outer index * inner + inner index.
struct HashRun {
  const Kernels& kernels;
  const float* x;
  int64_t outer;
  int64_t units;
  int64_t inner;
  float threshold;
  const uint64_t* words;  ///< [units][2]
  uint64_t* keys;         ///< [outer * inner][2]
  int64_t* active;        ///< [units]
  int64_t* nonfinite;     ///< one number
};

/// Computes keys, active and nonfinite; false when memory is missing.
bool run_hash(Runner& runner, const HashRun& run);

/// Samples begin .. end of such a tensor, for a thread that has results of its own.
template <class T>
struct HashRange {
  const T* x;  ///< all of the tensor
  int64_t units;
  int64_t inner;
  T threshold;
  const uint64_t* words;  ///< [units][2]
  int64_t begin;
  int64_t end;
  uint64_t* keys;   ///< [samples of the tensor][2], of which the range is written
  int64_t* active;  ///< [units], added to
};

/// Hashes the range on the calling thread; returns its number of non-finite values.
template <class T>
int64_t hash_range(const Kernels& kernels, const HashRange<T>& range);

}  // namespace reluflow

#endif
