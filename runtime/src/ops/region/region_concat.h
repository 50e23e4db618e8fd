// The operator RegionConcat: tensors with the channels last joined along them, in a region.
#ifndef RELUFLOW_OPS_REGION_REGION_CONCAT_H
#define RELUFLOW_OPS_REGION_REGION_CONCAT_H

#include <memory>

#include "host/op_adapter.h"

namespace reluflow {

/// Joins tensors of one type: it is registered once for each.
template <int Type>
class RegionConcat {
 public:
  static constexpr const char* kName = "RegionConcat";
  static constexpr Port kInputs[] = {{abi::kUndefined, abi::kOptional},
                                     {Type, abi::kOptional},
                                     {Type, abi::kRequired},
                                     {Type, abi::kOptional},
                                     {Type, abi::kOptional},
                                     {Type, abi::kOptional},
                                     {Type, abi::kOptional},
                                     {Type, abi::kOptional},
                                     {Type, abi::kOptional},
                                     {Type, abi::kOptional}};
  static constexpr Port kOutputs[] = {{Type, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<RegionConcat>* out);
  Status compute(Call& call) const;
};

}  // namespace reluflow

#endif
