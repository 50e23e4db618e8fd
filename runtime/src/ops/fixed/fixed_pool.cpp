#include "ops/fixed/fixed_pool.h"

#include "base/text.h"
#include "fixed/pooling.h"
#include "ops/fixed/fixed_attributes.h"
#include "ops/psb/conv_attributes.h"

namespace reluflow {

Status FixedMaxPool::create(const NodeInfo& info, std::unique_ptr<FixedMaxPool>* out) {
  auto made = std::make_unique<FixedMaxPool>();
  std::vector<int64_t> kernel;
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&made->kernels_));
  RELUFLOW_RETURN_IF_BAD(info.read("kernel_shape", &kernel));
  kernel.insert(kernel.begin(), 2, 1);  // one channel of one group, as a convolution has them
  RELUFLOW_RETURN_IF_BAD(read_conv(info, kernel, &made->windows_));
  *out = std::move(made);
  return {};
}

Status FixedMaxPool::compute(Call& call) const {
  std::optional<Tensor> x;
  RELUFLOW_RETURN_IF_BAD(call.input(0, &x));
  if (!x) return Status("X is missing; give the bytes of a chain.");
  std::vector<int64_t> dims = channels_first(x->dims);
  if (dims.size() != static_cast<size_t>(windows_.spatial_rank) + 2) {
    return Status("X has shape " + text_of(x->dims) + ", but rank " +
                  std::to_string(windows_.spatial_rank + 2) +
                  " is wanted; give an input that fits kernel_shape.");
  }
  const int64_t channels = dims[1];
  ConvSpec windows = windows_;
  windows.group_inputs = channels;
  ConvShape shape;
  RELUFLOW_RETURN_IF_BAD(place_windows(windows, dims, &shape));
  dims = {shape.batch, shape.output[0], shape.output[1], channels};
  if (windows.spatial_rank == 1) dims.erase(dims.begin() + 1);
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  max_pool(call, *kernels_, windows, shape, channels, x->as<const uint8_t>(),
           static_cast<uint8_t*>(y));
  return {};
}

Status FixedGlobalPool::create(const NodeInfo& info, std::unique_ptr<FixedGlobalPool>* out) {
  auto made = std::make_unique<FixedGlobalPool>();
  RELUFLOW_RETURN_IF_BAD(read_format(info, "x", &made->x_));
  *out = std::move(made);
  return {};
}

Status FixedGlobalPool::compute(Call& call) const {
  std::optional<Tensor> x;
  RELUFLOW_RETURN_IF_BAD(call.input(0, &x));
  if (!x) return Status("X is missing; give the bytes of a chain.");
  if (x->dims.size() < 3) {
    return Status("X has shape " + text_of(x->dims) +
                  ", but at least one spatial axis is wanted; give an image.");
  }
  std::vector<int64_t> dims(x->dims.size(), 1);
  dims[0] = x->dims[0];
  dims[1] = x->dims.back();
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  const int64_t values = dims[0] * dims[1];
  const int64_t pixels = values == 0 ? 0 : x->count() / values;
  global_mean(call, dims[0], pixels, dims[1], x_, x->as<const uint8_t>(), static_cast<float*>(y));
  return {};
}

}  // namespace reluflow
