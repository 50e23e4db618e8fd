#include "ops/products/fixed_conv.h"

#include <cstdlib>

#include "base/text.h"
#include "ops/fixed/fixed_attributes.h"
#include "ops/region/region_inputs.h"

namespace reluflow {

namespace {

constexpr size_t kZ = kFurther;
constexpr size_t kTable = kFurther + 1;
constexpr size_t kRegion = kFurther + 2;
constexpr int kMostApart = 20;  // bits between the formats of Y and Z, so that sums hold both

Status check_z(const FixedFormats& formats, const std::vector<int64_t>& dims,
               const std::vector<int64_t>& wanted) {
  if (dims != wanted) {
    return Status("Z has shape " + text_of(dims) + ", but that of Y, " + text_of(wanted) +
                  ", is wanted; give a Z that needs no broadcasting.");
  }
  const int y = formats.y.exponent;
  if (std::abs(formats.z.exponent - y) <= kMostApart) return {};
  return Status("z_exponent is " + std::to_string(formats.z.exponent) + ", but beside y_exponent " +
                std::to_string(y) + " only " + std::to_string(y - kMostApart) + " to " +
                std::to_string(y + kMostApart) + " are accepted; convert the model again.");
}

}  // namespace

Status FixedConv::create(const NodeInfo& info, std::unique_ptr<FixedConv>* out) {
  auto made = std::make_unique<FixedConv>();
  RELUFLOW_RETURN_IF_BAD(made->product_.create_conv(info));
  FixedFormats& formats = made->product_.formats;
  RELUFLOW_RETURN_IF_BAD(read_format(info, "y", &formats.y));
  RELUFLOW_RETURN_IF_BAD(read_format(info, "z", &formats.z));
  RELUFLOW_RETURN_IF_BAD(read_bounds(info, &formats.low, &formats.high));
  *out = std::move(made);
  return {};
}

Status FixedConv::compute(Call& call) const {
  ProductCall run;
  RELUFLOW_RETURN_IF_BAD(product_.open_conv(call, &run));
  const std::vector<int64_t> dims = channels_last(run.dims);
  std::optional<Tensor> z;
  RELUFLOW_RETURN_IF_BAD(call.input(kZ, &z));
  if (z && z->dims != std::vector<int64_t>{0}) {
    RELUFLOW_RETURN_IF_BAD(check_z(product_.formats, z->dims, dims));
    run.z = z->as<const uint8_t>();
  }
  RELUFLOW_RETURN_IF_BAD(read_table(call, kTable, &run.table));
  RegionInputs at;
  RELUFLOW_RETURN_IF_BAD(open_region(call, kRegion, {abi::kUint8, Channels::kLast, dims}, &at));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  at.start(call, y);
  run.y = static_cast<uint8_t*>(y);
  run.region = at.pixels();
  return product_.run(call, run);
}

}  // namespace reluflow
