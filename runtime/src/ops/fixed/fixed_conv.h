// The operator FixedConv: a PSB convolution inside a chain of bytes.
#ifndef RELUFLOW_OPS_FIXED_FIXED_CONV_H
#define RELUFLOW_OPS_FIXED_FIXED_CONV_H

#include <memory>

#include "grid/stores.h"
#include "host/op_adapter.h"
#include "ops/psb/psb_node.h"
#include "spec/conv_shape.h"

namespace reluflow {

class FixedConv {
 public:
  static constexpr const char* kName = "FixedConv";
  static constexpr Port kInputs[] = {{abi::kUint8, abi::kRequired}, {abi::kUint8, abi::kRequired},
                                     {abi::kInt8, abi::kRequired},  {abi::kFloat, abi::kOptional},
                                     {abi::kInt64, abi::kRequired}, {abi::kInt64, abi::kRequired},
                                     {abi::kUint8, abi::kOptional}, {abi::kUint8, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kUint8, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FixedConv>* out);
  Status compute(Call& call) const;

 private:
  ConvSpec conv_;
  FixedNode node_;
  FixedFormats formats_;
  mutable StoreCache stores_;  // has its own lock
};

}  // namespace reluflow

#endif
