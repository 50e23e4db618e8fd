// The operator FixedConv: a PSB convolution inside a chain of bytes.
#ifndef RELUFLOW_OPS_FIXED_FIXED_CONV_H
#define RELUFLOW_OPS_FIXED_FIXED_CONV_H

#include <memory>

#include "host/op_adapter.h"
#include "ops/psb/psb_node.h"
#include "spec/conv_shape.h"
#include "spec/fixed_format.h"

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
  FixedFormat x_;
  FixedFormat y_;
  FixedFormat z_;
  int low_ = 0;
  int high_ = 255;
};

}  // namespace reluflow

#endif
