// Pooling inside a chain of bytes: FixedMaxPool and FixedGlobalPool.
#ifndef RELUFLOW_OPS_FIXED_FIXED_POOL_H
#define RELUFLOW_OPS_FIXED_FIXED_POOL_H

#include <memory>

#include "host/op_adapter.h"
#include "kernels/cpu.h"
#include "spec/conv_shape.h"
#include "spec/fixed_format.h"

namespace reluflow {

class FixedMaxPool {
 public:
  static constexpr const char* kName = "FixedMaxPool";
  static constexpr Port kInputs[] = {{abi::kUint8, abi::kRequired},
                                     {abi::kUndefined, abi::kOptional},
                                     {abi::kUint8, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kUint8, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FixedMaxPool>* out);
  Status compute(Call& call) const;

 private:
  const Kernels* kernels_ = nullptr;
  ConvSpec windows_;
};

/// The mean over all pixels, as float32 with the channels first: the end of a chain.
class FixedGlobalPool {
 public:
  static constexpr const char* kName = "FixedGlobalPool";
  static constexpr Port kInputs[] = {{abi::kUint8, abi::kRequired}};
  static constexpr Port kOutputs[] = {{abi::kFloat, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FixedGlobalPool>* out);
  Status compute(Call& call) const;

 private:
  FixedFormat x_;
};

}  // namespace reluflow

#endif
