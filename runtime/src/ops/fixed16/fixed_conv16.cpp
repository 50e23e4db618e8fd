#include "ops/fixed16/fixed_conv16.h"

#include <cstdlib>
#include <string>

#include "base/text.h"
#include "fixed16/conv16.h"
#include "fixed16/depthwise16.h"
#include "ops/fixed16/attributes16.h"
#include "ops/psb/conv_attributes.h"
#include "ops/region/region_inputs.h"

namespace reluflow {

namespace {

constexpr size_t kZ = kFurther;

LaneShape run_shape(const ConvSpec& conv) {
  return {conv.group, conv.outputs / conv.group, conv.group_inputs, conv.taps(), window_runs(conv)};
}

/// The optional values to add, or null.
Status open_z16(Call& call, const std::vector<int64_t>& dims, const int16_t** out) {
  std::optional<Tensor> z;
  RELUFLOW_RETURN_IF_BAD(call.input(kZ, &z));
  *out = nullptr;
  if (!z || z->dims == std::vector<int64_t>{0}) return {};
  if (z->dims != dims) {
    return Status("Z has shape " + text_of(z->dims) + ", but that of Y, " + text_of(dims) +
                  ", is wanted; give a Z that needs no broadcasting.");
  }
  *out = z->as<const int16_t>();
  return {};
}

}  // namespace

Status FixedConv16::create(const NodeInfo& info, std::unique_ptr<FixedConv16>* out) {
  auto made = std::make_unique<FixedConv16>();
  std::vector<int64_t> weight_shape;
  RELUFLOW_RETURN_IF_BAD(info.read("weight_shape", &weight_shape));
  RELUFLOW_RETURN_IF_BAD(read_conv(info, weight_shape, &made->conv_));
  RELUFLOW_RETURN_IF_BAD(
      made->node_.create(info, weight_shape, [conv = made->conv_] { return run_shape(conv); }));
  RELUFLOW_RETURN_IF_BAD(read_exponent(info, "x_exponent", &made->formats_.x_exponent));
  RELUFLOW_RETURN_IF_BAD(read_exponent(info, "y_exponent", &made->formats_.y_exponent));
  made->formats_.z_exponent = made->formats_.y_exponent;
  RELUFLOW_RETURN_IF_BAD(read_exponent(info, "z_exponent", &made->formats_.z_exponent));
  RELUFLOW_RETURN_IF_BAD(read_bound(info, "y_min", &made->formats_.low));
  RELUFLOW_RETURN_IF_BAD(read_bound(info, "y_max", &made->formats_.high));
  if (std::abs(made->formats_.y_exponent - made->formats_.z_exponent) > kMostFormatSteps) {
    return Status("y_exponent is " + std::to_string(made->formats_.y_exponent) +
                  " and z_exponent is " + std::to_string(made->formats_.z_exponent) +
                  ", but a difference of at most " + std::to_string(kMostFormatSteps) +
                  " is accepted; convert the model again.");
  }
  *out = std::move(made);
  return {};
}

Status FixedConv16::compute(Call& call) const {
  Tensor x;
  RELUFLOW_RETURN_IF_BAD(open_x16(call, 1, &x));
  ConvShape shape;
  RELUFLOW_RETURN_IF_BAD(place_windows(conv_, channels_first(x.dims), &shape));
  Fixed16Inputs in;
  RELUFLOW_RETURN_IF_BAD(node_.open(call, &in));
  std::vector<int64_t> dims = {shape.batch, shape.output[0], shape.output[1], conv_.outputs};
  if (conv_.spatial_rank == 1) dims.erase(dims.begin() + 1);
  const int16_t* z = nullptr;
  RELUFLOW_RETURN_IF_BAD(open_z16(call, dims, &z));
  RegionInputs region;
  RELUFLOW_RETURN_IF_BAD(open_region(call, kZ + 1, {abi::kInt16, Channels::kLast, dims}, &region));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  region.start(call, y);
  const int64_t pixels = region.region ? region.region->count() : shape.batch * shape.pixels();
  if (pixels == 0) return {};
  // A seed's first run draws blocks next to their use; only what comes again is kept.
  auto set = in.weights->find(in.precision);
  if (!set && (in.weights->repeats(in.precision) || !draws_by_blocks16(*in.weights, pixels))) {
    set = in.weights->draw(call, node_.kernels(), node_.spec(), in.precision);
  }
  const StoreInputs16 inputs{in.emax.as<const int8_t>(),
                             in.bias ? in.bias->as<const float>() : nullptr, z != nullptr};
  StoreCache16 once;  // stores follow from the weights, too
  const auto stores = find_stores16(in.own ? &once : &stores_, formats_, inputs, *in.weights);
  const Run16 run{conv_,
                  shape,
                  node_.spec(),
                  node_.kernels(),
                  *in.weights,
                  set ? set.operator->() : nullptr,
                  in.precision,
                  *stores.operator->(),
                  x.as<const int16_t>(),
                  static_cast<int16_t*>(y),
                  z,
                  region.pixels()};
  return in.weights->depthwise() ? run_depthwise16(call, run) : run_conv16(call, run);
}

}  // namespace reluflow
