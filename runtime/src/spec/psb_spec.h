// The options of a PSB node that do not change from run to run.
#ifndef RELUFLOW_SPEC_PSB_SPEC_H
#define RELUFLOW_SPEC_PSB_SPEC_H

#include <cstdint>
#include <limits>
#include <string>

#include "base/status.h"

namespace reluflow {

enum class Sampler { kSystematic, kBinomial, kNearest };
enum class Activation { kNone, kRelu, kClip };

constexpr int64_t kFromTheRun = -1000;  ///< the `x_exponent` that says: not calibrated
constexpr int kMostExponent = 100;      ///< of `x_exponent`, up and down: docs/psb-ops.md
constexpr int kMostLog2N = 6;           ///< of the number of samples, 64
constexpr int kMeanBits = 13;  ///< a sampled weight is n to 2 n, then shifted to 2^13 and up

/// Attributes that PsbConv and PsbMatMul share: docs/psb-ops.md, "Inputs and attributes".
struct PsbSpec {
  int64_t channels = 0;             ///< output channels M, or columns N
  int64_t weights_per_channel = 0;  ///< Q
  int p_bits = 8;
  Sampler sampler = Sampler::kSystematic;
  bool per_product = false;
  bool carried_rounding = false;  ///< bits that are shifted out are carried, not rounded half up
  uint32_t stream = 0;
  int x_bits = 12;
  bool calibrated = false;  ///< x_exponent was given
  int x_exponent = 0;
  Activation activation = Activation::kNone;
  float clip_min = -std::numeric_limits<float>::infinity();
  float clip_max = std::numeric_limits<float>::infinity();

  int64_t count() const { return channels * weights_per_channel; }
  float low() const { return activation == Activation::kRelu ? 0.0f : clip_min; }
  float high() const {
    return activation == Activation::kRelu ? std::numeric_limits<float>::infinity() : clip_max;
  }
  bool clips() const { return activation != Activation::kNone; }
  int limit() const { return (1 << (x_bits - 1)) - 1; }
};

/// How often each weight is sampled in one run, and how.
struct Precision {
  int log2_n = kMostLog2N;
  Sampler sampler = Sampler::kNearest;
  uint64_t seed = 0;  ///< 0 where nothing is drawn

  bool operator==(const Precision& o) const {
    return log2_n == o.log2_n && sampler == o.sampler && seed == o.seed;
  }
  int n() const { return 1 << log2_n; }
  int fraction_bits() const { return kMeanBits - log2_n; }  ///< D
};

/// Reads the run-time inputs `samples` and `seed`.
inline Status read_precision(const PsbSpec& spec, int64_t samples, int64_t seed, Precision* out) {
  int log2_n = 0;
  while (log2_n < kMostLog2N && (int64_t{1} << log2_n) < samples) ++log2_n;
  if (samples != 0 && samples != (int64_t{1} << log2_n)) {
    return Status("samples is " + std::to_string(samples) +
                  ", but 1, 2, 4, 8, 16, 32 and 64 are accepted, and 0 for the nearest value; "
                  "give one of these.");
  }
  out->log2_n = samples == 0 ? kMostLog2N : log2_n;
  out->sampler = samples == 0 ? Sampler::kNearest : spec.sampler;
  out->seed = out->sampler == Sampler::kNearest ? 0 : static_cast<uint64_t>(seed);
  return {};
}

}  // namespace reluflow

#endif
