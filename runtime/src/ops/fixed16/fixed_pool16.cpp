#include "ops/fixed16/fixed_pool16.h"

#include "ops/fixed/fixed_attributes.h"
#include "ops/fixed16/attributes16.h"
#include "ops/region/region_inputs.h"
#include "shorts/pooling16.h"

namespace reluflow {

Status FixedMaxPool16::create(const NodeInfo& info, std::unique_ptr<FixedMaxPool16>* out) {
  auto made = std::make_unique<FixedMaxPool16>();
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&made->kernels_));
  RELUFLOW_RETURN_IF_BAD(read_windows(info, &made->windows_));
  *out = std::move(made);
  return {};
}

Status FixedMaxPool16::compute(Call& call) const {
  Tensor x;
  RELUFLOW_RETURN_IF_BAD(open_x16(call, 1, &x));
  PoolWindows pool;
  RELUFLOW_RETURN_IF_BAD(place_pool(windows_, x, &pool));
  RegionInputs region;
  RELUFLOW_RETURN_IF_BAD(open_region(call, 1, {abi::kInt16, Channels::kLast, pool.dims}, &region));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, pool.dims, &y));
  region.start(call, y);
  max_pool16(call, *kernels_, pool.windows, pool.shape, region.pixels(), pool.windows.group_inputs,
             x.as<const int16_t>(), static_cast<int16_t*>(y));
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
