#include "ops/fixed/fixed_ends.h"

#include "fixed/quantise.h"
#include "ops/fixed/fixed_attributes.h"
#include "ops/region/region_inputs.h"

namespace reluflow {

namespace {

int64_t pixels_of(const std::vector<int64_t>& first) {
  int64_t pixels = 1;
  for (size_t i = 2; i < first.size(); ++i) pixels *= first[i];
  return pixels;
}

}  // namespace

Status ToFixed::create(const NodeInfo& info, std::unique_ptr<ToFixed>* out) {
  auto made = std::make_unique<ToFixed>();
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&made->kernels_));
  RELUFLOW_RETURN_IF_BAD(read_format(info, "y", &made->y_));
  RELUFLOW_RETURN_IF_BAD(info.read("fills_quads", &made->fills_));
  *out = std::move(made);
  return {};
}

Status ToFixed::compute(Call& call) const {
  std::optional<Tensor> x;
  RELUFLOW_RETURN_IF_BAD(call.input(0, &x));
  if (!x) return Status("X is missing; give float32 values.");
  RELUFLOW_RETURN_IF_BAD(check_channels(*x, "X"));
  FixedImage image{x->dims[0], x->dims[1], pixels_of(x->dims), x->dims[1]};
  if (fills_) image.stored = (image.channels + kQuad - 1) / kQuad * kQuad;
  std::vector<int64_t> dims = channels_last(x->dims);
  dims.back() = image.stored;
  RegionInputs at;
  RELUFLOW_RETURN_IF_BAD(open_region(call, 1, {abi::kUint8, Channels::kLast, dims}, &at));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  at.start(call, y);
  to_fixed(call, *kernels_, image, y_, x->as<const float>(), static_cast<uint8_t*>(y), at.pixels());
  return {};
}

Status FromFixed::create(const NodeInfo& info, std::unique_ptr<FromFixed>* out) {
  auto made = std::make_unique<FromFixed>();
  RELUFLOW_RETURN_IF_BAD(read_format(info, "x", &made->x_));
  *out = std::move(made);
  return {};
}

Status FromFixed::compute(Call& call) const {
  std::optional<Tensor> x;
  RELUFLOW_RETURN_IF_BAD(call.input(0, &x));
  if (!x) return Status("X is missing; give the bytes of a chain.");
  RELUFLOW_RETURN_IF_BAD(check_channels(*x, "X"));
  const std::vector<int64_t> dims = channels_first(x->dims);
  RegionInputs at;
  RELUFLOW_RETURN_IF_BAD(open_region(call, 1, {abi::kFloat, Channels::kFirst, dims}, &at));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  at.start(call, y);
  from_fixed(call, {dims[0], dims[1], pixels_of(dims), dims[1]}, x_, x->as<const uint8_t>(),
             static_cast<float*>(y), at.pixels());
  return {};
}

}  // namespace reluflow
