// The operators at the ends of a chain of 16 bits: ToFixed16 and FromFixed16.
#ifndef RELUFLOW_OPS_FIXED16_FIXED_ENDS16_H
#define RELUFLOW_OPS_FIXED16_FIXED_ENDS16_H

#include <memory>

#include "host/op_adapter.h"
#include "kernels/cpu.h"

namespace reluflow {

/// Float32 with the channels first to int16 with the channels last.
class ToFixed16 {
 public:
  static constexpr const char* kName = "ToFixed16";
  static constexpr Port kInputs[] = {{abi::kFloat, abi::kRequired},
                                     {abi::kUndefined, abi::kOptional},
                                     {abi::kInt16, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kInt16, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<ToFixed16>* out);
  Status compute(Call& call) const;

 private:
  const Kernels* kernels_ = nullptr;
  int exponent_ = 0;
  int limit_ = 0;
};

/// And back.
class FromFixed16 {
 public:
  static constexpr const char* kName = "FromFixed16";
  static constexpr Port kInputs[] = {{abi::kInt16, abi::kRequired},
                                     {abi::kUndefined, abi::kOptional},
                                     {abi::kFloat, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kFloat, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FromFixed16>* out);
  Status compute(Call& call) const;

 private:
  int exponent_ = 0;
};

}  // namespace reluflow

#endif
