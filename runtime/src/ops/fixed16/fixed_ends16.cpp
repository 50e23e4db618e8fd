#include "ops/fixed16/fixed_ends16.h"

#include <optional>
#include <string>

#include "base/text.h"
#include "ops/fixed16/attributes16.h"
#include "ops/region/region_inputs.h"
#include "shorts/quantise16.h"

namespace reluflow {

namespace {

constexpr int64_t kLeastBits = 2;
constexpr int64_t kMostBits = 16;
constexpr int64_t kDefaultBits = 12;

/// Sizes of a tensor whose dimensions stand with the channels first.
Image16 image_of(const std::vector<int64_t>& first) {
  Image16 image{first[0], first[1], 1};
  for (size_t i = 2; i < first.size(); ++i) image.pixels *= first[i];
  return image;
}

}  // namespace

Status ToFixed16::create(const NodeInfo& info, std::unique_ptr<ToFixed16>* out) {
  auto made = std::make_unique<ToFixed16>();
  int64_t bits = kDefaultBits;
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&made->kernels_));
  RELUFLOW_RETURN_IF_BAD(read_exponent(info, "y_exponent", &made->exponent_));
  RELUFLOW_RETURN_IF_BAD(info.read("y_bits", &bits));
  if (bits < kLeastBits || bits > kMostBits) {
    return Status("y_bits is " + std::to_string(bits) +
                  ", but 2 to 16 is accepted; convert the model again.");
  }
  made->limit_ = (1 << (bits - 1)) - 1;
  *out = std::move(made);
  return {};
}

Status ToFixed16::compute(Call& call) const {
  std::optional<Tensor> x;
  RELUFLOW_RETURN_IF_BAD(call.input(0, &x));
  if (!x) return Status("X is missing; give float32 values.");
  if (x->dims.size() < 2) {
    return Status("X has shape " + text_of(x->dims) +
                  ", but an axis of inputs and one of channels "
                  "are wanted; give a tensor of at least two axes.");
  }
  const std::vector<int64_t> dims = channels_last(x->dims);
  RegionInputs inputs;
  RELUFLOW_RETURN_IF_BAD(open_region(call, 1, {abi::kInt16, Channels::kLast, dims}, &inputs));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  inputs.start(call, y);
  to_fixed16(call, *kernels_, image_of(x->dims), inputs.pixels(), exponent_, limit_,
             x->as<const float>(), static_cast<int16_t*>(y));
  return {};
}

Status FromFixed16::create(const NodeInfo& info, std::unique_ptr<FromFixed16>* out) {
  auto made = std::make_unique<FromFixed16>();
  RELUFLOW_RETURN_IF_BAD(read_exponent(info, "x_exponent", &made->exponent_));
  *out = std::move(made);
  return {};
}

Status FromFixed16::compute(Call& call) const {
  Tensor x;
  RELUFLOW_RETURN_IF_BAD(open_x16(call, 0, &x));
  const std::vector<int64_t> dims = channels_first(x.dims);
  RegionInputs inputs;
  RELUFLOW_RETURN_IF_BAD(open_region(call, 1, {abi::kFloat, Channels::kFirst, dims}, &inputs));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  inputs.start(call, y);
  from_fixed16(call, image_of(dims), inputs.pixels(), exponent_, x.as<const int16_t>(),
               static_cast<float*>(y));
  return {};
}

}  // namespace reluflow
