// The operator PatternHash.
#ifndef RELUFLOW_OPS_PATTERN_HASH_H
#define RELUFLOW_OPS_PATTERN_HASH_H

#include <memory>
#include <optional>

#include "hash/blocked_hash.h"
#include "host/op_adapter.h"
#include "kernels/kernels.h"

namespace reluflow {

class PatternHash {
 public:
  static constexpr const char* kName = "PatternHash";
  static constexpr Port kInputs[] = {{abi::kFloat, abi::kRequired}};
  static constexpr Port kOutputs[] = {
      {abi::kInt64, abi::kRequired}, {abi::kInt64, abi::kRequired}, {abi::kInt64, abi::kRequired}};

  static Status create(const NodeInfo& info, std::unique_ptr<PatternHash>* out);
  Status compute(Call& call) const;

 private:
  Status compute_planar(Call& call, const Tensor& x) const;
  Status compute_blocked(Call& call, const Tensor& x, const BlockedWords& words) const;

  float threshold_ = 0.0f;
  int64_t unit_axis_ = 1;
  uint64_t seed_ = 20250731;
  std::optional<BlockedWords> blocked_;  ///< none: X lies in memory as its shape says
  const Kernels* kernels_ = nullptr;
};

}  // namespace reluflow

#endif
