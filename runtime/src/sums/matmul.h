// PsbMatMul without its host: numbers in, numbers out.
#ifndef RELUFLOW_SUMS_MATMUL_H
#define RELUFLOW_SUMS_MATMUL_H

#include <cstdint>

#include "base/runner.h"
#include "kernels/kernels.h"
#include "spec/psb_spec.h"
#include "weights/weights.h"

namespace reluflow {

/// One run of a product A W^T, W stored as [columns, inner].
struct MatMulRun {
  const PsbSpec& psb;
  const Kernels& kernels;
  Weights& weights;
  Precision precision;
  int64_t rows;
  int64_t inner;
  const float* a;            ///< [rows, inner]
  const int8_t* emax;        ///< [columns]
  const float* bias;         ///< [columns] or null
  float* y;                  ///< [rows, columns]
  const float* z = nullptr;  ///< like y, added before the activation, or null
};

/// Computes `y`.
Status run_matmul(Runner& runner, const MatMulRun& run);

}  // namespace reluflow

#endif
