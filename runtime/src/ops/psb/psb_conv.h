// The operator PsbConv.
#ifndef RELUFLOW_OPS_PSB_PSB_CONV_H
#define RELUFLOW_OPS_PSB_PSB_CONV_H

#include <memory>

#include "host/op_adapter.h"
#include "ops/psb/psb_node.h"
#include "spec/conv_shape.h"

namespace reluflow {

class PsbConv {
 public:
  static constexpr const char* kName = "PsbConv";
  static constexpr Port kInputs[] = {
      {abi::kFloat, abi::kRequired},     {abi::kUint8, abi::kRequired},
      {abi::kInt8, abi::kRequired},      {abi::kFloat, abi::kOptional},
      {abi::kInt64, abi::kRequired},     {abi::kInt64, abi::kRequired},
      {abi::kUndefined, abi::kOptional}, {abi::kFloat, abi::kOptional},
      {abi::kFloat, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kFloat, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<PsbConv>* out);
  Status compute(Call& call) const;

 private:
  ConvSpec conv_;
  PsbNode node_;
};

}  // namespace reluflow

#endif
