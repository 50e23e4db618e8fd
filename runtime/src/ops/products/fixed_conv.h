// The operator FixedConv: a PSB convolution inside a chain of bytes.
#ifndef RELUFLOW_OPS_PRODUCTS_FIXED_CONV_H
#define RELUFLOW_OPS_PRODUCTS_FIXED_CONV_H

#include <memory>

#include "host/op_adapter.h"
#include "ops/products/fixed_product.h"

namespace reluflow {

class FixedConv {
 public:
  static constexpr const char* kName = "FixedConv";
  static constexpr Port kInputs[] = {
      {abi::kUint8, abi::kRequired},     {abi::kUint8, abi::kRequired},
      {abi::kInt8, abi::kRequired},      {abi::kFloat, abi::kOptional},
      {abi::kInt64, abi::kRequired},     {abi::kInt64, abi::kRequired},
      {abi::kUint8, abi::kOptional},     {abi::kUint8, abi::kOptional},
      {abi::kUndefined, abi::kOptional}, {abi::kUint8, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kUint8, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FixedConv>* out);
  Status compute(Call& call) const;

 private:
  FixedProduct product_;
};

}  // namespace reluflow

#endif
