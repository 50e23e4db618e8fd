#include "ops/fixed/fixed_pool.h"

#include "fixed/pooling.h"
#include "ops/fixed/fixed_attributes.h"
#include "ops/region/region_inputs.h"

namespace reluflow {

Status FixedMaxPool::create(const NodeInfo& info, std::unique_ptr<FixedMaxPool>* out) {
  auto made = std::make_unique<FixedMaxPool>();
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&made->kernels_));
  RELUFLOW_RETURN_IF_BAD(read_windows(info, &made->windows_));
  *out = std::move(made);
  return {};
}

Status FixedMaxPool::compute(Call& call) const {
  Tensor x;
  PoolWindows pool;
  RELUFLOW_RETURN_IF_BAD(read_bytes(call, 0, "X", &x));
  RELUFLOW_RETURN_IF_BAD(place_pool(windows_, x, &pool));
  RegionInputs at;
  RELUFLOW_RETURN_IF_BAD(open_region(call, 1, {abi::kUint8, Channels::kLast, pool.dims}, &at));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, pool.dims, &y));
  at.start(call, y);
  max_pool(call, *kernels_, pool.windows, pool.shape, pool.windows.group_inputs,
           x.as<const uint8_t>(), static_cast<uint8_t*>(y), at.pixels());
  return {};
}

Status FixedGlobalPool::create(const NodeInfo& info, std::unique_ptr<FixedGlobalPool>* out) {
  auto made = std::make_unique<FixedGlobalPool>();
  RELUFLOW_RETURN_IF_BAD(read_format(info, "x", &made->x_));
  *out = std::move(made);
  return {};
}

Status FixedGlobalPool::compute(Call& call) const {
  Tensor x;
  RELUFLOW_RETURN_IF_BAD(read_bytes(call, 0, "X", &x));
  RELUFLOW_RETURN_IF_BAD(check_image(x));
  std::vector<int64_t> dims(x.dims.size(), 1);
  dims[0] = x.dims[0];
  dims[1] = x.dims.back();
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  const int64_t values = dims[0] * dims[1];
  const int64_t pixels = values == 0 ? 0 : x.count() / values;
  global_mean(call, dims[0], pixels, dims[1], x_, x.as<const uint8_t>(), static_cast<float*>(y));
  return {};
}

}  // namespace reluflow
