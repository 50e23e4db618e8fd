#include "ops/psb/psb_conv.h"

#include "ops/psb/conv_attributes.h"
#include "ops/region/region_inputs.h"
#include "sums/conv.h"

namespace reluflow {

namespace {

/// Inputs behind those of both PSB nodes.
enum ConvInput : size_t { kRegion = kFurther, kZ, kBase };

}  // namespace

Status PsbConv::create(const NodeInfo& info, std::unique_ptr<PsbConv>* out) {
  auto made = std::make_unique<PsbConv>();
  std::vector<int64_t> weight_shape;
  RELUFLOW_RETURN_IF_BAD(info.read("weight_shape", &weight_shape));
  RELUFLOW_RETURN_IF_BAD(read_conv(info, weight_shape, &made->conv_));
  RELUFLOW_RETURN_IF_BAD(
      made->node_.create(info, weight_shape, [conv = made->conv_] { return lane_shape(conv); }));
  *out = std::move(made);
  return {};
}

Status PsbConv::compute(Call& call) const {
  std::optional<Tensor> x;
  RELUFLOW_RETURN_IF_BAD(call.input(kX, &x));
  if (!x) return Status("X is missing; give float32 values.");
  RELUFLOW_RETURN_IF_BAD(check_float(*x, "X"));
  ConvShape shape;
  RELUFLOW_RETURN_IF_BAD(place_windows(conv_, x->dims, &shape));
  PsbInputs in;
  RELUFLOW_RETURN_IF_BAD(node_.open(call, &in));
  std::vector<int64_t> dims = {shape.batch, conv_.outputs, shape.output[0], shape.output[1]};
  if (conv_.spatial_rank == 1) dims.erase(dims.begin() + 2);
  const float* z = nullptr;
  RELUFLOW_RETURN_IF_BAD(open_z(call, kZ, dims, &z));
  RegionInputs region;
  RELUFLOW_RETURN_IF_BAD(
      open_region(call, kRegion, kBase, {abi::kFloat, Channels::kFirst, dims}, &region));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  region.start(call, y);
  return run_conv(call, {node_.spec(), conv_, shape, node_.kernels(), *in.weights, in.precision,
                         x->as<const float>(), in.emax.as<const int8_t>(),
                         in.bias ? in.bias->as<const float>() : nullptr, static_cast<float*>(y), z,
                         region.pixels()});
}

}  // namespace reluflow
