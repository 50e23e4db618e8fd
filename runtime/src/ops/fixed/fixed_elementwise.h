// Sums, products and tables inside a chain of bytes: FixedAdd, FixedMul and FixedTable.
#ifndef RELUFLOW_OPS_FIXED_FIXED_ELEMENTWISE_H
#define RELUFLOW_OPS_FIXED_FIXED_ELEMENTWISE_H

#include <memory>

#include "bytes/output.h"
#include "host/op_adapter.h"
#include "kernels/cpu.h"
#include "spec/fixed_format.h"

namespace reluflow {

class FixedAdd {
 public:
  static constexpr const char* kName = "FixedAdd";
  static constexpr Port kInputs[] = {{abi::kUint8, abi::kRequired},
                                     {abi::kUint8, abi::kRequired},
                                     {abi::kUint8, abi::kOptional},
                                     {abi::kUndefined, abi::kOptional},
                                     {abi::kUint8, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kUint8, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FixedAdd>* out);
  Status compute(Call& call) const;

 private:
  const Kernels* kernels_ = nullptr;
  FixedFormat a_;
  FixedFormat b_;
  ByteOutput y_;
};

class FixedMul {
 public:
  static constexpr const char* kName = "FixedMul";
  static constexpr Port kInputs[] = {{abi::kUint8, abi::kRequired},
                                     {abi::kUint8, abi::kRequired},
                                     {abi::kUndefined, abi::kOptional},
                                     {abi::kUint8, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kUint8, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FixedMul>* out);
  Status compute(Call& call) const;

 private:
  const Kernels* kernels_ = nullptr;
  FixedFormat x_;
  FixedFormat s_;
  ByteOutput y_;
};

/// Any function of one byte.
class FixedTable {
 public:
  static constexpr const char* kName = "FixedTable";
  static constexpr Port kInputs[] = {{abi::kUint8, abi::kRequired},
                                     {abi::kUint8, abi::kRequired},
                                     {abi::kUndefined, abi::kOptional},
                                     {abi::kUint8, abi::kOptional}};
  static constexpr Port kOutputs[] = {{abi::kUint8, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<FixedTable>* out);
  Status compute(Call& call) const;

 private:
  const Kernels* kernels_ = nullptr;
};

}  // namespace reluflow

#endif
