// The operator FixedConv16: a PSB convolution inside a chain of 16 bits.
#ifndef RELUFLOW_OPS_FIXED16_FIXED_CONV16_H
#define RELUFLOW_OPS_FIXED16_FIXED_CONV16_H

#include <memory>

#include "fixed16/stores16.h"
#include "host/op_adapter.h"
#include "ops/psb/psb_node.h"
#include "spec/conv_shape.h"

namespace reluflow {

class FixedConv16 {
 public:
  static constexpr const char* kName = "FixedConv16";
  static constexpr Port kInputs[] = {
      {abi::kInt16, abi::kRequired}, {abi::kUint8, abi::kRequired},
      {abi::kInt8, abi::kRequired},  {abi::kFloat, abi::kOptional},
      {abi::kInt64, abi::kRequired}, {abi::kInt64, abi::kRequired},
      {abi::kInt16, abi::kOptional}, {abi::kUndefined, abi::kOptional},
      {abi::kInt16, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kInt16, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FixedConv16>* out);
  Status compute(Call& call) const;

 private:
  ConvSpec conv_;
  Fixed16Node node_;
  Formats16 formats_{0, 0, 0, -32767, 32767};
  mutable StoreCache16 stores_;  // of constant weights; it has its own lock
};

}  // namespace reluflow

#endif
