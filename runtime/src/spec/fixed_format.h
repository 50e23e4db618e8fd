// Tensors of a chain: bytes with a power of two as scale, docs/psb-ops.md, "Chains".
#ifndef RELUFLOW_SPEC_FIXED_FORMAT_H
#define RELUFLOW_SPEC_FIXED_FORMAT_H

namespace reluflow {

/// The value of byte u is (u - zero) 2^-exponent; zero is 0 or 128.
struct FixedFormat {
  int exponent = 0;
  int zero = 0;
};

}  // namespace reluflow

#endif
