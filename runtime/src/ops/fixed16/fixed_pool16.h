// Pooling inside a chain of 16 bits: FixedMaxPool16 and FixedGlobalPool16.
#ifndef RELUFLOW_OPS_FIXED16_FIXED_POOL16_H
#define RELUFLOW_OPS_FIXED16_FIXED_POOL16_H

#include <memory>

#include "host/op_adapter.h"
#include "kernels/cpu.h"
#include "spec/conv_shape.h"

namespace reluflow {

class FixedMaxPool16 {
 public:
  static constexpr const char* kName = "FixedMaxPool16";
  static constexpr Port kInputs[] = {{abi::kInt16, abi::kRequired},
                                     {abi::kUndefined, abi::kOptional},
                                     {abi::kInt16, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kInt16, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FixedMaxPool16>* out);
  Status compute(Call& call) const;

 private:
  const Kernels* kernels_ = nullptr;
  ConvSpec windows_;
};

/// The mean over all pixels, as float32 with the channels first: the end of a chain.
class FixedGlobalPool16 {
 public:
  static constexpr const char* kName = "FixedGlobalPool16";
  static constexpr Port kInputs[] = {{abi::kInt16, abi::kRequired}};
  static constexpr Port kOutputs[] = {{abi::kFloat, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FixedGlobalPool16>* out);
  Status compute(Call& call) const;

 private:
  int exponent_ = 0;
};

}  // namespace reluflow

#endif
