#include "inputs/activations.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace reluflow {

namespace {

constexpr size_t kPieces = 64;  // their results lie on the stack; more than most machines' cores
constexpr size_t kPerPiece = 16384;   // 64 KB of input: below, a thread costs more than it saves
constexpr int kExponentBias = 127;    // of float32
constexpr int kFractionBits = 23;     // of float32
constexpr int kLeastExponent = -126;  // of float32's normal numbers

}  // namespace

int exponent_of(uint32_t max_abs_bits, int limit) {
  if (max_abs_bits == 0) return 0;
  float m;
  std::memcpy(&m, &max_abs_bits, sizeof m);
  int e = 0;
  const double fraction = std::frexp(static_cast<double>(m), &e);  // m = fraction * 2^e
  int f = -e;
  while (std::ldexp(fraction, f + 1 + e) <= limit) ++f;
  return std::clamp(f, -kMostExponent, kMostExponent);
}

int activation_exponent(Runner& runner, const Kernels& kernels, const PsbSpec& spec, const float* x,
                        int64_t n) {
  if (spec.calibrated) return std::clamp(spec.x_exponent, -kMostExponent, kMostExponent);
  uint32_t best[kPieces] = {};
  const size_t wanted = (static_cast<size_t>(n) + kPerPiece - 1) / kPerPiece;
  const Split split(static_cast<size_t>(n), std::min(kPieces, wanted));
  auto work = [&](size_t i) {
    const size_t begin = split.begin(i);
    best[i] = kernels.max_abs_bits(x + begin, static_cast<int64_t>(split.end(i) - begin));
  };
  parallel_for(runner, split.pieces, work);
  return exponent_of(*std::max_element(best, best + kPieces), spec.limit());
}

float power_of_two(int e) {
  const uint32_t bits = static_cast<uint32_t>(e + kExponentBias) << kFractionBits;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

Scale split_scale(int e) {
  const int first = std::clamp(e, kLeastExponent, kExponentBias);
  return {power_of_two(first), power_of_two(e - first)};
}

Scale channel_scale(int emax, const Precision& precision, int f) {
  return split_scale(emax - precision.fraction_bits() - f - precision.log2_n);
}

}  // namespace reluflow
