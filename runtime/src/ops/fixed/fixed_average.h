// Means inside a chain of bytes: FixedAveragePool and FixedGlobalAveragePool.
#ifndef RELUFLOW_OPS_FIXED_FIXED_AVERAGE_H
#define RELUFLOW_OPS_FIXED_FIXED_AVERAGE_H

#include <memory>

#include "bytes/output.h"
#include "host/op_adapter.h"
#include "kernels/cpu.h"
#include "spec/conv_shape.h"
#include "spec/fixed_format.h"

namespace reluflow {

class FixedAveragePool {
 public:
  static constexpr const char* kName = "FixedAveragePool";
  static constexpr Port kInputs[] = {{abi::kUint8, abi::kRequired},
                                     {abi::kUndefined, abi::kOptional},
                                     {abi::kUint8, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kUint8, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FixedAveragePool>* out);
  Status compute(Call& call) const;

 private:
  const Kernels* kernels_ = nullptr;
  ConvSpec windows_;
  FixedFormat x_;
  ByteOutput y_;
  int64_t counts_padding_ = 0;
};

class FixedGlobalAveragePool {
 public:
  static constexpr const char* kName = "FixedGlobalAveragePool";
  static constexpr Port kInputs[] = {{abi::kUint8, abi::kRequired}};
  static constexpr Port kOutputs[] = {{abi::kUint8, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FixedGlobalAveragePool>* out);
  Status compute(Call& call) const;

 private:
  const Kernels* kernels_ = nullptr;
  FixedFormat x_;
  ByteOutput y_;
};

}  // namespace reluflow

#endif
