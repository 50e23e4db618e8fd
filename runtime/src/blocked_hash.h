// Fingerprints of tensors in the host's blocked layout of convolutions.
#ifndef RELUFLOW_BLOCKED_HASH_H
#define RELUFLOW_BLOCKED_HASH_H

#include <cstdint>
#include <vector>

#include "kernels.h"
#include "runner.h"

namespace reluflow {

/// XOR of the words of any 4 neighbouring units: entry b of a group is that of the units in b.
/// `[units / 4 rounded up to whole blocks][16][2]`, words of units past the last one are 0.
std::vector<uint64_t> nibble_words(const std::vector<uint64_t>& words, int64_t units,
                                   int64_t block);

/// One tensor `[outer, blocks, inner, block]`; sample number = outer index * inner + inner index.
/// Unit number = block number * block + position; the last block may hold fewer true units.
struct BlockedHashRun {
  const Kernels& kernels;
  const float* x;
  int64_t outer;
  int64_t inner;
  int64_t units;  ///< true ones
  int64_t block;  ///< 8 or 16
  float threshold;
  const uint64_t* nibbles;  ///< of nibble_words
  uint64_t* keys;           ///< [outer * inner][2]
  int64_t* active;          ///< [units]
  int64_t* nonfinite;       ///< one number
};

/// Computes keys, active and nonfinite; false when memory is missing.
bool run_blocked_hash(Runner& runner, const BlockedHashRun& run);

}  // namespace reluflow

#endif
