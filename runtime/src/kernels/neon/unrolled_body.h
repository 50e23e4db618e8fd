// Loops over registers: their steps are written out, so that a compiler keeps arrays of vectors in
// registers.
//
// In an unnamed namespace, as all bodies: the tables of NEON compile a copy each.
#ifndef RELUFLOW_KERNELS_NEON_UNROLLED_BODY_H
#define RELUFLOW_KERNELS_NEON_UNROLLED_BODY_H

#include <arm_neon.h>

#include <cstdint>

#define RELUFLOW_INLINE __attribute__((always_inline))

namespace reluflow {

namespace {

template <int N>
struct Number {
  static constexpr int value = N;
};

/// f(Number<0>), f(Number<1>), ... of N numbers.
template <int N, class F>
RELUFLOW_INLINE inline void each(const F& f) {
  if constexpr (N > 0) {
    each<N - 1>(f);
    f(Number<N - 1>{});
  }
}

}  // namespace

}  // namespace reluflow

#endif
