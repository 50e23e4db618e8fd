// Products at the end of a chain: bytes times drawn weights, as floats.
#ifndef RELUFLOW_OPS_PRODUCTS_FROM_FIXED_PRODUCTS_H
#define RELUFLOW_OPS_PRODUCTS_FROM_FIXED_PRODUCTS_H

#include <memory>

#include "host/op_adapter.h"
#include "ops/products/fixed_product.h"

namespace reluflow {

/// FixedConv whose sums become float32 with the channels first.
class FromFixedConv {
 public:
  static constexpr const char* kName = "FromFixedConv";
  static constexpr Port kInputs[] = {
      {abi::kUint8, abi::kRequired},     {abi::kUint8, abi::kRequired},
      {abi::kInt8, abi::kRequired},      {abi::kFloat, abi::kOptional},
      {abi::kInt64, abi::kRequired},     {abi::kInt64, abi::kRequired},
      {abi::kUndefined, abi::kOptional}, {abi::kFloat, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kFloat, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FromFixedConv>* out);
  Status compute(Call& call) const;

 private:
  FixedProduct product_;
};

/// Rows of bytes times a matrix.
class FromFixedMatMul {
 public:
  static constexpr const char* kName = "FromFixedMatMul";
  static constexpr Port kInputs[] = {{abi::kUint8, abi::kRequired}, {abi::kUint8, abi::kRequired},
                                     {abi::kInt8, abi::kRequired},  {abi::kFloat, abi::kOptional},
                                     {abi::kInt64, abi::kRequired}, {abi::kInt64, abi::kRequired}};
  static constexpr Port kOutputs[] = {{abi::kFloat, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FromFixedMatMul>* out);
  Status compute(Call& call) const;

 private:
  FixedProduct product_;
};

}  // namespace reluflow

#endif
