// The operator FixedResize: linear interpolation inside a chain of bytes.
#ifndef RELUFLOW_OPS_FIXED_FIXED_RESIZE_H
#define RELUFLOW_OPS_FIXED_FIXED_RESIZE_H

#include <memory>

#include "bytes/resize.h"
#include "host/op_adapter.h"
#include "kernels/cpu.h"

namespace reluflow {

class FixedResize {
 public:
  static constexpr const char* kName = "FixedResize";
  static constexpr Port kInputs[] = {{abi::kUint8, abi::kRequired},
                                     {abi::kInt64, abi::kRequired},
                                     {abi::kUndefined, abi::kOptional},
                                     {abi::kUint8, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kUint8, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FixedResize>* out);
  Status compute(Call& call) const;

 private:
  const Kernels* kernels_ = nullptr;
  Coordinates coordinates_ = Coordinates::kHalfPixel;
};

}  // namespace reluflow

#endif
