#include "weights/weight_code.h"

namespace reluflow {

namespace {

/// Bits 8 * block .. 8 * block + 7 of every plane, gathered to eight words.
void gather_words(const uint8_t* planes, int n_planes, int64_t stride, int64_t block,
                  uint32_t* words) {
  for (int k = 0; k < 8; ++k) words[k] = 0;
  for (int b = 0; b < n_planes; ++b) {
    const uint32_t byte = planes[b * stride + block];
    for (int k = 0; k < 8; ++k) words[k] |= ((byte >> k) & 1u) << b;
  }
}

/// Turns the probabilities of one channel into c, in order of exponent and sign, then of index.
///
/// Weights of 0 come first, so that one place for both signs is enough.
void carry_probabilities(const uint8_t* sign_shift, int64_t count, uint16_t* p16) {
  auto kind = [](uint8_t s) {
    return 2 * (kZeroShift - (s & kShiftMask)) + (s & kNegative ? 1 : 0);
  };
  uint16_t sums[2 * (kZeroShift + 1)] = {};
  for (int64_t i = 0; i < count; ++i) {
    uint16_t& sum = sums[kind(sign_shift[i])];
    sum = static_cast<uint16_t>(sum + p16[i]);
  }
  uint16_t before = 0;
  for (uint16_t& sum : sums) {
    const uint16_t all = static_cast<uint16_t>(before + sum);
    sum = before;
    before = all;
  }
  for (int64_t i = 0; i < count; ++i) {
    uint16_t& next = sums[kind(sign_shift[i])];
    const uint16_t p = p16[i];
    p16[i] = next;
    next = static_cast<uint16_t>(next + p);
  }
}

/// What the small weights of one channel carry to those after them, in order of their index.
void carry_small(const uint16_t* p16, const uint8_t* sign_shift, int64_t count, uint32_t* before) {
  uint32_t sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int j = sign_shift[i] & kShiftMask;
    before[i] = sum;
    if (j < kSmallShift || j == kZeroShift) continue;
    sum = (sum + static_cast<uint32_t>(small_value(p16[i], sign_shift[i]))) & kSmallMask;
  }
}

}  // namespace

Status unpack_planes(const uint8_t* planes, const PsbSpec& spec, WeightCode* out) {
  const int64_t count = spec.count();
  const int64_t stride = (count + 7) / 8;
  out->per_channel = spec.weights_per_channel;
  out->p16.assign(static_cast<size_t>(count), 0);
  out->carried.assign(static_cast<size_t>(count), 0);
  out->sign_shift.assign(static_cast<size_t>(count), kZeroShift);
  out->before.assign(spec.carried_rounding ? static_cast<size_t>(count) : size_t{0}, 0);
  for (int64_t block = 0; block < stride; ++block) {
    uint32_t words[8];
    gather_words(planes, spec.p_bits + kPlanesBesideP, stride, block, words);
    for (int64_t i = count; i < block * 8 + 8; ++i) {
      if (words[i % 8] == 0) continue;
      return Status("W has bits set behind its last weight, number " + std::to_string(count - 1) +
                    ", but padding bits are 0; pack the weights again.");
    }
    for (int64_t i = block * 8; i < count && i < block * 8 + 8; ++i) {
      const uint32_t word = words[i % 8];
      const uint32_t nibble = (word >> spec.p_bits) & kShiftMask;
      const uint32_t q = word & ((1u << spec.p_bits) - 1u);
      const uint32_t sign = (word >> (spec.p_bits + kNibbleBits)) & 1u;
      const uint16_t p16 = static_cast<uint16_t>(q << (16 - spec.p_bits));
      out->carried[static_cast<size_t>(i)] = p16;
      if (nibble == 0) continue;
      out->p16[static_cast<size_t>(i)] = p16;
      out->sign_shift[static_cast<size_t>(i)] =
          static_cast<uint8_t>((15u - nibble) | (sign ? kNegative : 0u));
    }
  }
  for (int64_t m = 0; m < spec.channels; ++m) {
    const size_t first = static_cast<size_t>(m * spec.weights_per_channel);
    carry_probabilities(out->sign_shift.data() + first, spec.weights_per_channel,
                        out->carried.data() + first);
    if (!spec.carried_rounding) continue;
    carry_small(out->p16.data() + first, out->sign_shift.data() + first, spec.weights_per_channel,
                out->before.data() + first);
  }
  return {};
}

uint32_t ChannelDraw::count(int64_t i) const {
  const uint32_t p16 = code_.p16[static_cast<size_t>(i)];
  const uint32_t scaled = p16 << precision_.log2_n;
  switch (precision_.sampler) {
    case Sampler::kNearest:
      return (scaled + 0x8000u) >> 16;
    case Sampler::kSystematic: {
      const uint32_t carried = code_.carried[static_cast<size_t>(i)];
      return (scaled + ((offset_ + (carried << precision_.log2_n)) & 0xffffu)) >> 16;
    }
    case Sampler::kBinomial:
      break;
  }
  uint32_t k = 0;
  for (uint32_t t = 0; t < static_cast<uint32_t>(precision_.n()); ++t) {
    const uint32_t word = random_bits(key_, static_cast<uint32_t>(i) * 32u + (t >> 1));
    k += ((word >> (16 * (t & 1))) & 0xffffu) < p16;
  }
  return k;
}

int ChannelDraw::weight(int64_t i) const {
  const uint8_t sign_shift = code_.sign_shift[static_cast<size_t>(i)];
  const int j = sign_shift & kShiftMask;
  const int shift = precision_.fraction_bits() - j;
  if (shift < 0 && j != kZeroShift && !code_.before.empty()) {
    const size_t at = static_cast<size_t>(i);
    return small_weight(small_value(code_.p16[at], sign_shift), code_.before[at], small_offset_);
  }
  const int total = precision_.n() + static_cast<int>(count(i));
  // A zero weight has total = n and j = 15, for which the rounding shift gives 0.
  const int magnitude = shift >= 0 ? total << shift : (total + (1 << (-shift - 1))) >> -shift;
  return sign_shift & kNegative ? -magnitude : magnitude;
}

}  // namespace reluflow
