#include "ops/products/from_fixed_products.h"

#include "ops/region/region_inputs.h"

namespace reluflow {

namespace {

/// Runs a product whose result is float32, in a region where one is given.
Status give_floats(Call& call, const FixedProduct& product, const RegionInputs& at,
                   ProductCall* run) {
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, run->dims, &y));
  at.start(call, y);
  run->region = at.pixels();
  run->floats = static_cast<float*>(y);
  return run->shape.batch == 0 ? Status() : product.run(call, *run);
}

}  // namespace

Status FromFixedConv::create(const NodeInfo& info, std::unique_ptr<FromFixedConv>* out) {
  auto made = std::make_unique<FromFixedConv>();
  RELUFLOW_RETURN_IF_BAD(made->product_.create_conv(info));
  made->product_.formats.floats = true;
  *out = std::move(made);
  return {};
}

Status FromFixedConv::compute(Call& call) const {
  ProductCall run;
  RELUFLOW_RETURN_IF_BAD(product_.open_conv(call, &run));
  RegionInputs at;
  RELUFLOW_RETURN_IF_BAD(
      open_region(call, kFurther, {abi::kFloat, Channels::kFirst, run.dims}, &at));
  return give_floats(call, product_, at, &run);
}

Status FromFixedMatMul::create(const NodeInfo& info, std::unique_ptr<FromFixedMatMul>* out) {
  auto made = std::make_unique<FromFixedMatMul>();
  RELUFLOW_RETURN_IF_BAD(made->product_.create_matmul(info));
  made->product_.formats.floats = true;
  *out = std::move(made);
  return {};
}

Status FromFixedMatMul::compute(Call& call) const {
  ProductCall run;
  RELUFLOW_RETURN_IF_BAD(product_.open_matmul(call, &run));
  run.rows = true;
  return give_floats(call, product_, {}, &run);
}

}  // namespace reluflow
