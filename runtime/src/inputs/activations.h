// Activations as integers: docs/psb-ops.md, "Activations".
#ifndef RELUFLOW_INPUTS_ACTIVATIONS_H
#define RELUFLOW_INPUTS_ACTIVATIONS_H

#include <cstdint>

#include "base/runner.h"
#include "kernels/kernels.h"
#include "spec/psb_spec.h"

namespace reluflow {

/// The largest f with m * 2^f <= limit for the magnitude with these bits; 0 for m = 0.
int exponent_of(uint32_t max_abs_bits, int limit);

/// f of a tensor of `n` values: calibrated or taken from the run, clamped to [-100, 100].
int activation_exponent(Runner& runner, const Kernels& kernels, const PsbSpec& spec, const float* x,
                        int64_t n);

/// 2^e as float32, for e in [-126, 127].
float power_of_two(int e);

/// Splits 2^e, |e| <= 250, into two factors that float32 can hold.
struct Scale {
  float a;
  float b;
};
Scale split_scale(int e);

/// The factor y / sum of a channel: 2^(emax - D - f) / n.
Scale channel_scale(int emax, const Precision& precision, int f);

}  // namespace reluflow

#endif
