// The stored code of a weight tensor, unpacked from its bit planes.
#ifndef RELUFLOW_WEIGHTS_WEIGHT_CODE_H
#define RELUFLOW_WEIGHTS_WEIGHT_CODE_H

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "spec/psb_spec.h"

namespace reluflow {

constexpr uint8_t kNegative = 0x80;  ///< sign bit of `sign_shift`; the low bits are j
constexpr int kZeroShift = 15;       ///< the shift that makes a weight with p = 0 vanish
constexpr int kNibbleBits = 4;       ///< bits of a stored exponent
constexpr int kPlanesBesideP = kNibbleBits + 1;     ///< of a stored weight: exponent, then sign
constexpr int kShiftMask = (1 << kNibbleBits) - 1;  ///< the bits of j in `sign_shift`

/// Probability and exponent of every weight, in C order of the stored shape.
///
/// A weight of 0 is stored as p = 0 with shift 15: 2^13 >> 15 rounds to 0 for every n.
struct WeightCode {
  int64_t per_channel = 0;
  std::vector<uint16_t> p16;
  std::vector<uint16_t> carried;  ///< c: the p16 before it in its channel, summed mod 2^16
  std::vector<uint8_t> sign_shift;
  /// With carried rounding: `small_value` of the small weights before it in its channel, summed mod
  /// 2^17. Empty without.
  std::vector<uint32_t> before;
};

/// From this shift on a weight is small: for some n, bits of its samples are shifted out.
constexpr int kSmallShift = 8;
constexpr int kSmallBits = 17;  ///< fraction bits of `small_value`
constexpr uint32_t kSmallMask = (1u << kSmallBits) - 1u;

/// The mean of a small weight in steps of w', signed, in units of 2^-17.
inline int32_t small_value(uint16_t p16, uint8_t sign_shift) {
  const int32_t magnitude = (65536 + p16) << (14 - (sign_shift & kShiftMask));
  return sign_shift & kNegative ? -magnitude : magnitude;
}

/// w' of a small weight whose samples would be shifted out: its mean, rounded down after `offset`
/// and what the weights before it left over are added.
inline int small_weight(int32_t value, uint32_t before, uint32_t offset) {
  const int32_t sum = value + static_cast<int32_t>((before + offset) & kSmallMask);
  return (sum - (sum & static_cast<int32_t>(kSmallMask))) / (1 << kSmallBits);
}

/// The offset with which small weights are rounded to the nearest.
constexpr uint32_t small_nearest() { return 1u << (kSmallBits - 1); }

/// The offset of the small weights of a channel.
inline uint32_t small_offset_of(const Precision& precision, Key key, int64_t channel) {
  if (precision.sampler == Sampler::kNearest) return small_nearest();
  return small_offset(key, static_cast<uint32_t>(channel));
}

/// Unpacks `planes`, `uint8 [5 + p_bits, ceil(count / 8)]`.
Status unpack_planes(const uint8_t* planes, const PsbSpec& spec, WeightCode* out);

/// The sampled weights of one channel: docs/psb-ops.md, "Sampled weight".
class ChannelDraw {
 public:
  ChannelDraw(const WeightCode& code, int64_t channel, const Precision& precision, Key key)
      : code_(code),
        precision_(precision),
        key_(key),
        offset_(precision.sampler == Sampler::kSystematic
                    ? channel_offset(key, static_cast<uint32_t>(channel))
                    : 0),
        small_offset_(code.before.empty() ? 0 : small_offset_of(precision, key, channel)) {}

  /// How many of the n draws of weight `i`, numbered over all channels, are one.
  uint32_t count(int64_t i) const;

  /// The sampled weight w' of weight `i` as an integer, |w'| <= 2^14.
  int weight(int64_t i) const;

 private:
  const WeightCode& code_;
  Precision precision_;
  Key key_;
  uint32_t offset_;
  uint32_t small_offset_;
};

/// The sampled weight w' of weight `i`, drawn alone.
inline int draw_weight(const WeightCode& code, int64_t i, const Precision& precision, Key key) {
  return ChannelDraw(code, i / code.per_channel, precision, key).weight(i);
}

/// The factor that turns v' + 1, v' = (n + k) << (13 - log2 n), into w' by a rounding product of
/// 15 fraction bits, where p has at most 8 bits: then v' is a multiple of 2^7.
///
/// w' = sign * round(v' / 2^j), ties away from 0. The product rounds ties up: the 1 moves those of
/// negative weights past the tie, and moves no other value but for j = 0 and 1, whose factors are
/// smaller by what 1 adds.
inline int16_t sampled_factor(uint8_t sign_shift) {
  const int j = sign_shift & kShiftMask;
  if (j == kZeroShift) return 0;
  const int magnitude = (1 << (15 - j)) - (j == 0 ? 2 : j == 1 ? 1 : 0);
  return static_cast<int16_t>(sign_shift & kNegative ? -magnitude : magnitude);
}

/// A bound of |w'| over all draws and all n.
inline int64_t weight_bound(uint8_t sign_shift) {
  const int j = sign_shift & kShiftMask;
  return j == kZeroShift ? 0 : int64_t{1} << (14 - j);
}

}  // namespace reluflow

#endif
