// What the operators share that multiply the bytes of a chain by drawn weights.
#ifndef RELUFLOW_OPS_PRODUCTS_FIXED_PRODUCT_H
#define RELUFLOW_OPS_PRODUCTS_FIXED_PRODUCT_H

#include <vector>

#include "fixed/fixed_run.h"
#include "grid/stores.h"
#include "ops/psb/psb_node.h"
#include "spec/conv_shape.h"
#include "spec/region.h"

namespace reluflow {

/// One call: its input, its windows, and where its result goes.
struct ProductCall {
  Tensor x{};
  ConvSpec conv;
  ConvShape shape;
  FixedInputs in;
  std::vector<int64_t> dims;  ///< of the result; a convolution's with the channels first
  uint8_t* y = nullptr;
  const uint8_t* z = nullptr;
  const uint8_t* table = nullptr;
  float* floats = nullptr;         ///< where the result goes instead of y
  bool rows = false;               ///< as in FloatOutput
  const Region* region = nullptr;  ///< the pixels that are computed, or null: all
};

/// A convolution or a matrix product, the latter as a convolution of single pixels.
struct FixedProduct {
  ConvSpec conv;
  FixedNode node;
  FixedFormats formats;
  mutable StoreCache stores{};  // has its own lock

  /// Reads what every product has; formats but for that of X are the operator's own matter.
  Status create_conv(const NodeInfo& info);
  Status create_matmul(const NodeInfo& info);

  /// Reads X and the weights, and places the windows.
  Status open_conv(Call& call, ProductCall* out) const;
  Status open_matmul(Call& call, ProductCall* out) const;

  Status run(Call& call, const ProductCall& product) const;
};

}  // namespace reluflow

#endif
