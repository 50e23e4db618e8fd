#include "weight_code.h"

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

}  // namespace

Status unpack_planes(const uint8_t* planes, const PsbSpec& spec, WeightCode* out) {
  const int64_t count = spec.count();
  const int64_t stride = (count + 7) / 8;
  out->p16.assign(static_cast<size_t>(count), 0);
  out->sign_shift.assign(static_cast<size_t>(count), kZeroShift);
  for (int64_t block = 0; block < stride; ++block) {
    uint32_t words[8];
    gather_words(planes, spec.p_bits + 5, stride, block, words);
    for (int64_t i = count; i < block * 8 + 8; ++i) {
      if (words[i % 8] == 0) continue;
      return Status("W has bits set behind its last weight, number " + std::to_string(count - 1) +
                    ", but padding bits are 0; pack the weights again.");
    }
    for (int64_t i = block * 8; i < count && i < block * 8 + 8; ++i) {
      const uint32_t word = words[i % 8];
      const uint32_t nibble = (word >> spec.p_bits) & 15u;
      if (nibble == 0) continue;
      const uint32_t q = word & ((1u << spec.p_bits) - 1u);
      const uint32_t sign = (word >> (spec.p_bits + 4)) & 1u;
      out->p16[static_cast<size_t>(i)] = static_cast<uint16_t>(q << (16 - spec.p_bits));
      out->sign_shift[static_cast<size_t>(i)] =
          static_cast<uint8_t>((15u - nibble) | (sign ? kNegative : 0u));
    }
  }
  return {};
}

uint32_t draw_count(uint16_t p16, uint32_t i, const Precision& precision, Key key) {
  const uint32_t scaled = static_cast<uint32_t>(p16) << precision.log2_n;
  switch (precision.sampler) {
    case Sampler::kNearest:
      return (scaled + 0x8000u) >> 16;
    case Sampler::kSystematic:
      return (scaled + ((random_bits(key, i >> 1) >> (16 * (i & 1))) & 0xffffu)) >> 16;
    case Sampler::kBinomial:
      break;
  }
  uint32_t k = 0;
  for (uint32_t t = 0; t < static_cast<uint32_t>(precision.n()); ++t) {
    const uint32_t r = (random_bits(key, i * 32u + (t >> 1)) >> (16 * (t & 1))) & 0xffffu;
    k += r < p16;
  }
  return k;
}

int draw_weight(const WeightCode& code, int64_t i, const Precision& precision, Key key) {
  const size_t at = static_cast<size_t>(i);
  const uint32_t k = draw_count(code.p16[at], static_cast<uint32_t>(i), precision, key);
  const int j = code.sign_shift[at] & 15;
  const int shift = precision.fraction_bits() - j;
  const int total = precision.n() + static_cast<int>(k);
  // A zero weight has total = n and j = 15, for which the rounding shift gives 0.
  const int magnitude = shift >= 0 ? total << shift : (total + (1 << (-shift - 1))) >> -shift;
  return code.sign_shift[at] & kNegative ? -magnitude : magnitude;
}

}  // namespace reluflow
