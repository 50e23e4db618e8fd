// The operator PsbMatMul.
#ifndef RELUFLOW_OPS_PSB_PSB_MATMUL_H
#define RELUFLOW_OPS_PSB_PSB_MATMUL_H

#include <memory>

#include "host/op_adapter.h"
#include "ops/psb/psb_node.h"

namespace reluflow {

class PsbMatMul {
 public:
  static constexpr const char* kName = "PsbMatMul";
  static constexpr Port kInputs[] = {{abi::kFloat, abi::kRequired}, {abi::kUint8, abi::kRequired},
                                     {abi::kInt8, abi::kRequired},  {abi::kFloat, abi::kOptional},
                                     {abi::kInt64, abi::kRequired}, {abi::kInt64, abi::kRequired},
                                     {abi::kFloat, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kFloat, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<PsbMatMul>* out);
  Status compute(Call& call) const;

 private:
  int64_t inner_ = 0;
  PsbNode node_;
};

}  // namespace reluflow

#endif
