// The stored code of a weight tensor, unpacked from its bit planes.
#ifndef RELUFLOW_WEIGHT_CODE_H
#define RELUFLOW_WEIGHT_CODE_H

#include <cstdint>
#include <vector>

#include "psb_spec.h"
#include "random.h"
#include "status.h"

namespace reluflow {

constexpr uint8_t kNegative = 0x80;  ///< sign bit of `sign_shift`; the low bits are j
constexpr int kZeroShift = 15;       ///< the shift that makes a weight with p = 0 vanish

/// Probability and exponent of every weight, in C order of the stored shape.
///
/// A weight of 0 is stored as p = 0 with shift 15: 2^13 >> 15 rounds to 0 for every n.
struct WeightCode {
  std::vector<uint16_t> p16;
  std::vector<uint8_t> sign_shift;
};

/// Unpacks `planes`, `uint8 [5 + p_bits, ceil(count / 8)]`.
Status unpack_planes(const uint8_t* planes, const PsbSpec& spec, WeightCode* out);

/// How many of the n draws of weight `i` are one: docs/psb-ops.md, "Sampled weight".
uint32_t draw_count(uint16_t p16, uint32_t i, const Precision& precision, Key key);

/// The sampled weight w' of weight `i` as an integer, |w'| <= 2^14.
int draw_weight(const WeightCode& code, int64_t i, const Precision& precision, Key key);

/// A bound of |w'| over all draws and all n.
inline int64_t weight_bound(uint8_t sign_shift) {
  const int j = sign_shift & 15;
  return j == kZeroShift ? 0 : int64_t{1} << (14 - j);
}

}  // namespace reluflow

#endif
