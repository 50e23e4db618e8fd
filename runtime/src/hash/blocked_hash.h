// Fingerprints of tensors in the host's blocked layout of convolutions.
#ifndef RELUFLOW_HASH_BLOCKED_HASH_H
#define RELUFLOW_HASH_BLOCKED_HASH_H

#include <cstdint>
#include <vector>

#include "base/runner.h"
#include "kernels/kernels.h"

namespace reluflow {

/// The random words of units in blocks; units that pad the last block have words of 0.
struct BlockedWords {
  int64_t units;                  ///< true ones
  int64_t block;                  ///< 8 or 16
  std::vector<uint64_t> words;    ///< `[units up to a whole block][2]`
  std::vector<uint64_t> nibbles;  ///< `[.. / 4][16][2]`: XOR of any of 4 neighbouring units' words

  BlockedWords(int64_t units, int64_t block, uint64_t seed);
  int64_t blocks() const { return (units + block - 1) / block; }
};

/// One tensor `[outer, blocks, inner, block]`; sample number = outer index * inner + inner index.
/// Unit number = block number * block + position; the last block may hold fewer true units.
struct BlockedHashRun {
  const Kernels& kernels;
  const float* x;
  int64_t outer;
  int64_t inner;
  const BlockedWords& words;
  float threshold;
  uint64_t* keys;      ///< [outer * inner][2]
  int64_t* active;     ///< [units]
  int64_t* nonfinite;  ///< one number
};

/// Computes keys, active and nonfinite; false when memory is missing.
bool run_blocked_hash(Runner& runner, const BlockedHashRun& run);

}  // namespace reluflow

#endif
