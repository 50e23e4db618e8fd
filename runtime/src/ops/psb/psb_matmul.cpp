#include "ops/psb/psb_matmul.h"

#include "base/text.h"
#include "sums/matmul.h"

namespace reluflow {

Status PsbMatMul::create(const NodeInfo& info, std::unique_ptr<PsbMatMul>* out) {
  std::vector<int64_t> shape;
  RELUFLOW_RETURN_IF_BAD(info.read("weight_shape", &shape));
  RELUFLOW_RETURN_IF_BAD(check_weight_shape(shape, {2}, "[N, K]"));
  auto made = std::make_unique<PsbMatMul>();
  made->inner_ = shape[1];
  RELUFLOW_RETURN_IF_BAD(
      made->node_.create(info, shape, [shape] { return LaneShape{1, shape[0], shape[1], 1}; }));
  *out = std::move(made);
  return {};
}

Status PsbMatMul::compute(Call& call) const {
  std::optional<Tensor> a;
  RELUFLOW_RETURN_IF_BAD(call.input(kX, &a));
  if (!a) return Status("A is missing; give float32 values.");
  RELUFLOW_RETURN_IF_BAD(check_float(*a, "A"));
  if (a->dims.empty() || a->dims.back() != inner_) {
    return Status("A has shape " + text_of(a->dims) + ", but [..., " + std::to_string(inner_) +
                  "] is wanted; give an input that fits weight_shape.");
  }
  PsbInputs in;
  RELUFLOW_RETURN_IF_BAD(node_.open(call, &in));
  std::vector<int64_t> dims = a->dims;
  dims.back() = node_.spec().channels;
  const float* z = nullptr;
  RELUFLOW_RETURN_IF_BAD(open_z(call, kFurther, dims, &z));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  return run_matmul(
      call, {node_.spec(), node_.kernels(), *in.weights, in.precision, a->count() / inner_, inner_,
             a->as<const float>(), in.emax.as<const int8_t>(),
             in.bias ? in.bias->as<const float>() : nullptr, static_cast<float*>(y), z});
}

}  // namespace reluflow
