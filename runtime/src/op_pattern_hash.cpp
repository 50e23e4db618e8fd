#include "op_pattern_hash.h"

#include "conv_shape.h"
#include "cpu.h"
#include "hash.h"

namespace reluflow {

Status PatternHash::create(const NodeInfo& info, std::unique_ptr<PatternHash>* out) {
  auto made = std::make_unique<PatternHash>();
  int64_t seed = static_cast<int64_t>(made->seed_);
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&made->kernels_));
  RELUFLOW_RETURN_IF_BAD(info.read("threshold", &made->threshold_));
  RELUFLOW_RETURN_IF_BAD(info.read("unit_axis", &made->unit_axis_));
  RELUFLOW_RETURN_IF_BAD(info.read("seed", &seed));
  if (made->threshold_ != made->threshold_) {
    return Status("threshold is NaN, but must be a number; give the site's threshold.");
  }
  made->seed_ = static_cast<uint64_t>(seed);
  *out = std::move(made);
  return {};
}

Status PatternHash::compute(Call& call) const {
  std::optional<Tensor> x;
  RELUFLOW_RETURN_IF_BAD(call.input(0, &x));
  if (!x) return Status("X is missing; give float32 pre-activations.");
  const int64_t rank = static_cast<int64_t>(x->dims.size());
  if (unit_axis_ < -rank || unit_axis_ >= rank) {
    return Status("unit_axis is " + std::to_string(unit_axis_) + ", but X has shape " +
                  text_of(x->dims) + "; give the axis of X that enumerates the units.");
  }
  const size_t axis = static_cast<size_t>(unit_axis_ < 0 ? unit_axis_ + rank : unit_axis_);
  int64_t outer = 1;
  int64_t inner = 1;
  std::vector<int64_t> key_dims;
  for (size_t i = 0; i < x->dims.size(); ++i) {
    if (i == axis) continue;
    (i < axis ? outer : inner) *= x->dims[i];
    key_dims.push_back(x->dims[i]);
  }
  key_dims.push_back(2);
  void* keys = nullptr;
  void* active = nullptr;
  void* nonfinite = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, key_dims, &keys));
  RELUFLOW_RETURN_IF_BAD(call.output(1, {x->dims[axis]}, &active));
  RELUFLOW_RETURN_IF_BAD(call.output(2, {}, &nonfinite));
  const std::vector<uint64_t> words = unit_words(x->dims[axis], seed_);
  run_hash(call, {*kernels_, x->as<const float>(), outer, x->dims[axis], inner, threshold_,
                  words.data(), static_cast<uint64_t*>(keys), static_cast<int64_t*>(active),
                  static_cast<int64_t*>(nonfinite)});
  return {};
}

}  // namespace reluflow
