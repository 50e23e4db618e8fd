// Fingerprints of blocked tensors. 4 units at a time: their bits pick one of 16 ready XORs.
//
// In an unnamed namespace on purpose: every table includes this and compiles a copy of its own. No
// function of the standard library may be called here: its inline copies, compiled for one
// instruction set, could be linked into the code of another.
#ifndef RELUFLOW_KERNELS_PORTABLE_BLOCKED_HASH_BODY_H
#define RELUFLOW_KERNELS_PORTABLE_BLOCKED_HASH_BODY_H

#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/portable/loops_body.h"

namespace reluflow {

namespace {

/// Adds the XORs that `bits` of 4 * Groups units pick to a key.
template <int Groups>
inline void pick(const uint64_t* nibbles, uint32_t bits, uint64_t* key) {
  uint64_t first = key[0];
  uint64_t second = key[1];
  for (int g = 0; g < Groups; ++g) {
    const uint64_t* entry = nibbles + 32 * g + 2 * ((bits >> (4 * g)) & 15u);
    first ^= entry[0];
    second ^= entry[1];
  }
  key[0] = first;
  key[1] = second;
}

/// Non-finite values among the first `lanes` of every sample of a block.
inline int64_t count_nonfinite(const float* x, int64_t samples, int64_t step, int64_t lanes) {
  int64_t bad = 0;
  for (int64_t s = 0; s < samples; ++s) {
    for (int64_t i = 0; i < lanes; ++i) bad += is_nonfinite(x[s * step + i]);
  }
  return bad;
}

/// 8 units of every sample, `step` elements from one sample to the next.
inline int64_t hash_eight(const BlockedHashArgs& h, const float* x, const uint64_t* nibbles,
                          int64_t lanes, int32_t* active) {
  int32_t counts[8] = {};
  int64_t bad = 0;
  for (int64_t s = 0; s < h.samples; ++s) {
    const float* at = x + s * h.block;
    uint32_t bits = 0;
    for (int i = 0; i < 8; ++i) {
      const uint32_t on = at[i] > h.threshold;
      counts[i] += static_cast<int32_t>(on);
      bits |= on << i;
      bad += is_nonfinite(at[i]) & (i < lanes);
    }
    pick<2>(nibbles, bits, h.keys + 2 * s);
  }
  for (int i = 0; i < 8; ++i) active[i] = counts[i];
  return bad;
}

/// Calls `eight(x, nibbles, lanes, active)` for every 8 units of a piece; lanes: the true ones.
template <class Eight>
void each_eight(BlockedHashArgs& h, Eight eight) {
  for (int64_t s = 0; s < 2 * h.samples; ++s) h.keys[s] = 0;
  h.nonfinite = 0;
  for (int64_t u = 0; u < h.units; u += 8) {
    const float* x = h.x + u / h.block * h.block_stride + u % h.block;
    const int64_t lanes = h.units - u < 8 ? h.units - u : 8;
    h.nonfinite += eight(x, h.nibbles + 8 * u, lanes, h.active + u);
  }
}

[[maybe_unused]] void common_blocked_hash(BlockedHashArgs& h) {
  each_eight(h, [&](const float* x, const uint64_t* nibbles, int64_t lanes, int32_t* active) {
    return hash_eight(h, x, nibbles, lanes, active);
  });
}

}  // namespace

}  // namespace reluflow

#endif
