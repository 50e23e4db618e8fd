// The operators FixedResize and FixedResize16: linear interpolation inside a chain.
#ifndef RELUFLOW_OPS_FIXED_FIXED_RESIZE_H
#define RELUFLOW_OPS_FIXED_FIXED_RESIZE_H

#include <memory>

#include "bytes/resize.h"
#include "host/op_adapter.h"
#include "kernels/cpu.h"

namespace reluflow {

template <int Type>
class FixedResizeOf {
 public:
  static constexpr const char* kName = Type == abi::kInt16 ? "FixedResize16" : "FixedResize";
  static constexpr Port kInputs[] = {{Type, abi::kRequired},
                                     {abi::kInt64, abi::kRequired},
                                     {abi::kUndefined, abi::kOptional},
                                     {Type, abi::kOptional}};
  static constexpr Port kOutputs[] = {{Type, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FixedResizeOf>* out);
  Status compute(Call& call) const;

 private:
  const Kernels* kernels_ = nullptr;
  Coordinates coordinates_ = Coordinates::kHalfPixel;
};

using FixedResize = FixedResizeOf<abi::kUint8>;
using FixedResize16 = FixedResizeOf<abi::kInt16>;

}  // namespace reluflow

#endif
