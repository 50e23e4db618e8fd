#include "ops/fixed/fixed_average.h"

#include "bytes/averages.h"
#include "ops/fixed/fixed_attributes.h"
#include "ops/region/region_inputs.h"

namespace reluflow {

Status FixedAveragePool::create(const NodeInfo& info, std::unique_ptr<FixedAveragePool>* out) {
  auto made = std::make_unique<FixedAveragePool>();
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&made->kernels_));
  RELUFLOW_RETURN_IF_BAD(read_windows(info, &made->windows_));
  RELUFLOW_RETURN_IF_BAD(read_format(info, "x", &made->x_));
  RELUFLOW_RETURN_IF_BAD(read_output(info, &made->y_));
  RELUFLOW_RETURN_IF_BAD(info.read("count_include_pad", &made->counts_padding_));
  *out = std::move(made);
  return {};
}

Status FixedAveragePool::compute(Call& call) const {
  Tensor x;
  PoolWindows pool;
  RELUFLOW_RETURN_IF_BAD(read_bytes(call, 0, "X", &x));
  RELUFLOW_RETURN_IF_BAD(place_pool(windows_, x, &pool));
  RegionInputs at;
  RELUFLOW_RETURN_IF_BAD(open_region(call, 1, {abi::kUint8, Channels::kLast, pool.dims}, &at));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, pool.dims, &y));
  at.start(call, y);
  average_pool(call, *kernels_, pool.windows, pool.shape, pool.windows.group_inputs,
               counts_padding_ != 0, x.as<const uint8_t>(), x_, y_, static_cast<uint8_t*>(y),
               at.pixels());
  return {};
}

Status FixedGlobalAveragePool::create(const NodeInfo& info,
                                      std::unique_ptr<FixedGlobalAveragePool>* out) {
  auto made = std::make_unique<FixedGlobalAveragePool>();
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&made->kernels_));
  RELUFLOW_RETURN_IF_BAD(read_format(info, "x", &made->x_));
  RELUFLOW_RETURN_IF_BAD(read_output(info, &made->y_));
  *out = std::move(made);
  return {};
}

Status FixedGlobalAveragePool::compute(Call& call) const {
  Tensor x;
  RELUFLOW_RETURN_IF_BAD(read_bytes(call, 0, "X", &x));
  RELUFLOW_RETURN_IF_BAD(check_image(x));
  std::vector<int64_t> dims(x.dims.size(), 1);
  dims.front() = x.dims.front();
  dims.back() = x.dims.back();
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  const int64_t values = dims.front() * dims.back();
  const int64_t pixels = values == 0 ? 0 : x.count() / values;
  global_average(call, *kernels_, dims.front(), pixels, dims.back(), x.as<const uint8_t>(), x_, y_,
                 static_cast<uint8_t*>(y));
  return {};
}

}  // namespace reluflow
