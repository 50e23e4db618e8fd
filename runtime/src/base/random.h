// Counter-based random bits: docs/psb-ops.md, "Random bits".
//
// Internal linkage on purpose: these functions are compiled once per instruction set.
#ifndef RELUFLOW_BASE_RANDOM_H
#define RELUFLOW_BASE_RANDOM_H

#include <cstdint>

namespace reluflow {

static inline uint32_t lowbias(uint32_t v) {
  v ^= v >> 16;
  v *= 0x7feb352du;
  v ^= v >> 15;
  v *= 0x846ca68bu;
  v ^= v >> 16;
  return v;
}

/// The key of a node: two words made of the seed and the node's stream.
struct Key {
  uint32_t a;
  uint32_t b;
};

static inline Key make_key(uint64_t seed, uint32_t stream) {
  const uint32_t a = lowbias(static_cast<uint32_t>(seed) ^ (0x9e3779b9u * (stream + 1u)));
  return {a, lowbias(static_cast<uint32_t>(seed >> 32) + a + 0x85ebca6bu)};
}

/// The key of one output position when every product has its own draws.
static inline Key at_position(Key key, uint32_t v) {
  return {lowbias(key.a ^ ((v + 1u) * 0xc2b2ae35u)), key.b};
}

/// 32 random bits number c.
static inline uint32_t random_bits(Key key, uint32_t c) {
  return lowbias(lowbias(c ^ key.a) + key.b);
}

/// 16 random bits that all systematic draws of a channel share.
static inline uint32_t channel_offset(Key key, uint32_t channel) {
  return random_bits(key, channel) & 0xffffu;
}

/// 17 random bits with which all small weights of a channel are rounded.
static inline uint32_t small_offset(Key key, uint32_t channel) {
  return random_bits(key, ~channel) & 0x1ffffu;
}

}  // namespace reluflow

#endif
