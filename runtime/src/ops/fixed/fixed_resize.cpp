#include "ops/fixed/fixed_resize.h"

#include <type_traits>

#include "base/text.h"
#include "ops/fixed/fixed_attributes.h"
#include "ops/region/region_inputs.h"

namespace reluflow {

namespace {

constexpr int64_t kLastCoordinates = static_cast<int64_t>(Coordinates::kAsymmetric);

/// Reads the sizes of the output in the order of ONNX, which has to keep inputs and channels.
Status read_sizes(Call& call, const Tensor& x, std::vector<int64_t>* out) {
  Tensor sizes;
  RELUFLOW_RETURN_IF_BAD(read_bytes(call, 1, "sizes", &sizes));
  const auto* values = sizes.as<const int64_t>();
  out->assign(values, values + sizes.count());
  bool good = sizes.dims.size() == 1 && out->size() == x.dims.size() &&
              (*out)[0] == x.dims.front() && (*out)[1] == x.dims.back();
  for (size_t i = 2; good && i < out->size(); ++i) {
    good = (*out)[i] >= 1 && (*out)[i] <= kMostResized;
  }
  if (good) return {};
  return Status("sizes is " + text_of(*out) + " for X of shape " + text_of(x.dims) +
                ", but X's inputs and channels, then sizes from 1 to 2^30 are wanted; give such "
                "sizes.");
}

Status check_x(const Tensor& x) {
  bool good = x.dims.size() == 3 || x.dims.size() == 4;
  for (size_t i = 1; good && i + 1 < x.dims.size(); ++i) {
    good = x.dims[i] >= 1 && x.dims[i] <= kMostResized;
  }
  if (good) return {};
  return Status("X has shape " + text_of(x.dims) +
                ", but one or two spatial axes with at least one pixel are wanted; give an image.");
}

void resize(Call& call, const Kernels& kernels, const Resizing& sizes, const uint8_t* x,
            uint8_t* out, const Region* region) {
  resize_bytes(call, kernels, sizes, x, out, region);
}

void resize(Call& call, const Kernels& kernels, const Resizing& sizes, const int16_t* x,
            int16_t* out, const Region* region) {
  resize_shorts(call, kernels, sizes, x, out, region);
}

}  // namespace

template <int Type>
Status FixedResizeOf<Type>::create(const NodeInfo& info, std::unique_ptr<FixedResizeOf>* out) {
  auto made = std::make_unique<FixedResizeOf>();
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&made->kernels_));
  int64_t coordinates = 0;
  RELUFLOW_RETURN_IF_BAD(info.read("coordinates", &coordinates));
  if (coordinates < 0 || coordinates > kLastCoordinates) {
    return Status("coordinates is " + std::to_string(coordinates) + ", but 0 to " +
                  std::to_string(kLastCoordinates) + " is accepted; convert the model again.");
  }
  made->coordinates_ = static_cast<Coordinates>(coordinates);
  *out = std::move(made);
  return {};
}

template <int Type>
Status FixedResizeOf<Type>::compute(Call& call) const {
  using Value = std::conditional_t<Type == abi::kInt16, int16_t, uint8_t>;
  Tensor x;
  RELUFLOW_RETURN_IF_BAD(read_bytes(call, 0, "X", &x));
  RELUFLOW_RETURN_IF_BAD(check_x(x));
  std::vector<int64_t> sizes;
  RELUFLOW_RETURN_IF_BAD(read_sizes(call, x, &sizes));
  const std::vector<int64_t> dims = channels_last(sizes);
  RegionInputs at;
  RELUFLOW_RETURN_IF_BAD(open_region(call, 2, {Type, Channels::kLast, dims}, &at));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  at.start(call, y);
  const bool plane = x.dims.size() == 4;
  const Resizing resizing{x.dims[0],
                          {plane ? x.dims[1] : 1, x.dims[plane ? 2 : 1]},
                          {plane ? sizes[2] : 1, sizes.back()},
                          x.dims.back(),
                          coordinates_};
  if (x.count() > 0) {
    resize(call, *kernels_, resizing, x.as<const Value>(), static_cast<Value*>(y), at.pixels());
  }
  return {};
}

template class FixedResizeOf<abi::kUint8>;
template class FixedResizeOf<abi::kInt16>;

}  // namespace reluflow
