#include "ops/fixed16/fixed_pool16.h"

#include <string>

#include "base/text.h"
#include "fixed16/pooling16.h"
#include "ops/fixed16/attributes16.h"
#include "ops/psb/conv_attributes.h"

namespace reluflow {

Status FixedMaxPool16::create(const NodeInfo& info, std::unique_ptr<FixedMaxPool16>* out) {
  auto made = std::make_unique<FixedMaxPool16>();
  std::vector<int64_t> kernel;
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&made->kernels_));
  RELUFLOW_RETURN_IF_BAD(info.read("kernel_shape", &kernel));
  kernel.insert(kernel.begin(), 2, 1);  // one channel of one group, as a convolution has them
  RELUFLOW_RETURN_IF_BAD(read_conv(info, kernel, &made->windows_));
  *out = std::move(made);
  return {};
}

Status FixedMaxPool16::compute(Call& call) const {
  Tensor x;
  RELUFLOW_RETURN_IF_BAD(open_x16(call, 1, &x));
  const std::vector<int64_t> first = channels_first(x.dims);
  if (first.size() != static_cast<size_t>(windows_.spatial_rank) + 2) {
    return Status("X has shape " + text_of(x.dims) + ", but rank " +
                  std::to_string(windows_.spatial_rank + 2) +
                  " is wanted; give an input that fits kernel_shape.");
  }
  const int64_t channels = first[1];
  ConvSpec windows = windows_;
  windows.group_inputs = channels;
  ConvShape shape;
  RELUFLOW_RETURN_IF_BAD(place_windows(windows, first, &shape));
  std::vector<int64_t> dims = {shape.batch, shape.output[0], shape.output[1], channels};
  if (windows.spatial_rank == 1) dims.erase(dims.begin() + 1);
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  max_pool16(call, *kernels_, windows, shape, channels, x.as<const int16_t>(),
             static_cast<int16_t*>(y));
  return {};
}

Status FixedGlobalPool16::create(const NodeInfo& info, std::unique_ptr<FixedGlobalPool16>* out) {
  auto made = std::make_unique<FixedGlobalPool16>();
  RELUFLOW_RETURN_IF_BAD(read_exponent(info, "x_exponent", &made->exponent_));
  *out = std::move(made);
  return {};
}

Status FixedGlobalPool16::compute(Call& call) const {
  Tensor x;
  RELUFLOW_RETURN_IF_BAD(open_x16(call, 1, &x));
  std::vector<int64_t> dims(x.dims.size(), 1);
  dims[0] = x.dims[0];
  dims[1] = x.dims.back();
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  const int64_t values = dims[0] * dims[1];
  const int64_t pixels = values == 0 ? 0 : x.count() / values;
  global_mean16(call, dims[0], pixels, dims[1], exponent_, x.as<const int16_t>(),
                static_cast<float*>(y));
  return {};
}

}  // namespace reluflow
