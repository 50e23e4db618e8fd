// The operators at the ends of a chain: ToFixed and FromFixed.
#ifndef RELUFLOW_OPS_FIXED_FIXED_ENDS_H
#define RELUFLOW_OPS_FIXED_FIXED_ENDS_H

#include <memory>

#include "host/op_adapter.h"
#include "kernels/cpu.h"
#include "spec/fixed_format.h"

namespace reluflow {

/// Float32 with the channels first to bytes with the channels last.
class ToFixed {
 public:
  static constexpr const char* kName = "ToFixed";
  static constexpr Port kInputs[] = {{abi::kFloat, abi::kRequired},
                                     {abi::kUndefined, abi::kOptional},
                                     {abi::kUint8, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kUint8, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<ToFixed>* out);
  Status compute(Call& call) const;

 private:
  const Kernels* kernels_ = nullptr;
  FixedFormat y_;
  int64_t fills_ = 0;
};

/// And back.
class FromFixed {
 public:
  static constexpr const char* kName = "FromFixed";
  static constexpr Port kInputs[] = {{abi::kUint8, abi::kRequired},
                                     {abi::kUndefined, abi::kOptional},
                                     {abi::kFloat, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kFloat, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FromFixed>* out);
  Status compute(Call& call) const;

 private:
  FixedFormat x_;
};

}  // namespace reluflow

#endif
