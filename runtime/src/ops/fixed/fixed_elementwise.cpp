#include "ops/fixed/fixed_elementwise.h"

#include "base/text.h"
#include "bytes/elementwise.h"
#include "ops/fixed/fixed_attributes.h"
#include "ops/region/region_inputs.h"

namespace reluflow {

Status FixedAdd::create(const NodeInfo& info, std::unique_ptr<FixedAdd>* out) {
  auto made = std::make_unique<FixedAdd>();
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&made->kernels_));
  RELUFLOW_RETURN_IF_BAD(read_format(info, "a", &made->a_));
  RELUFLOW_RETURN_IF_BAD(read_format(info, "b", &made->b_));
  RELUFLOW_RETURN_IF_BAD(read_output(info, &made->y_));
  *out = std::move(made);
  return {};
}

Status FixedAdd::compute(Call& call) const {
  Tensor a;
  Tensor b;
  const uint8_t* table = nullptr;
  RELUFLOW_RETURN_IF_BAD(read_bytes(call, 0, "A", &a));
  RELUFLOW_RETURN_IF_BAD(read_bytes(call, 1, "B", &b));
  RELUFLOW_RETURN_IF_BAD(read_table(call, 2, &table));
  if (a.dims != b.dims) {
    return Status("A has shape " + text_of(a.dims) + " and B " + text_of(b.dims) +
                  ", but one shape is wanted; give two tensors that need no broadcasting.");
  }
  RegionInputs at;
  RELUFLOW_RETURN_IF_BAD(open_region(call, 3, {abi::kUint8, Channels::kLast, a.dims}, &at));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, a.dims, &y));
  at.start(call, y);
  add_bytes(call, *kernels_, a.count(), a.as<const uint8_t>(), a_, b.as<const uint8_t>(), b_, y_,
            table, static_cast<uint8_t*>(y), at.pixels());
  return {};
}

Status FixedMul::create(const NodeInfo& info, std::unique_ptr<FixedMul>* out) {
  auto made = std::make_unique<FixedMul>();
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&made->kernels_));
  RELUFLOW_RETURN_IF_BAD(read_format(info, "x", &made->x_));
  RELUFLOW_RETURN_IF_BAD(read_format(info, "s", &made->s_));
  RELUFLOW_RETURN_IF_BAD(read_output(info, &made->y_));
  *out = std::move(made);
  return {};
}

Status FixedMul::compute(Call& call) const {
  Tensor x;
  Tensor s;
  RELUFLOW_RETURN_IF_BAD(read_bytes(call, 0, "X", &x));
  RELUFLOW_RETURN_IF_BAD(read_bytes(call, 1, "S", &s));
  RELUFLOW_RETURN_IF_BAD(check_channels(x, "X"));
  std::vector<int64_t> ones(x.dims.size(), 1);
  ones.front() = x.dims.front();
  ones.back() = x.dims.back();
  const bool for_each_channel = s.dims == ones;
  if (!for_each_channel && s.dims != x.dims) {
    return Status("S has shape " + text_of(s.dims) + ", but " + text_of(ones) + " or that of X, " +
                  text_of(x.dims) +
                  ", is wanted; give a factor for each "
                  "channel or for each byte.");
  }
  RegionInputs at;
  RELUFLOW_RETURN_IF_BAD(open_region(call, 2, {abi::kUint8, Channels::kLast, x.dims}, &at));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, x.dims, &y));
  at.start(call, y);
  const int64_t values = ones.front() * ones.back();
  const ByteImage image{ones.front(), values == 0 ? 0 : x.count() / values, ones.back()};
  mul_bytes(call, *kernels_, image, x.as<const uint8_t>(), x_, s.as<const uint8_t>(), s_,
            for_each_channel, y_, static_cast<uint8_t*>(y), at.pixels());
  return {};
}

Status FixedTable::create(const NodeInfo&, std::unique_ptr<FixedTable>* out) {
  auto made = std::make_unique<FixedTable>();
  RELUFLOW_RETURN_IF_BAD(choose_kernels(&made->kernels_));
  *out = std::move(made);
  return {};
}

Status FixedTable::compute(Call& call) const {
  Tensor x;
  const uint8_t* table = nullptr;
  RELUFLOW_RETURN_IF_BAD(read_bytes(call, 0, "X", &x));
  RELUFLOW_RETURN_IF_BAD(read_table(call, 1, &table));
  if (!table) return Status("table has shape [0], but [256] is wanted; give a byte for each byte.");
  RegionInputs at;
  RELUFLOW_RETURN_IF_BAD(open_region(call, 2, {abi::kUint8, Channels::kLast, x.dims}, &at));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, x.dims, &y));
  at.start(call, y);
  look_up_bytes(call, *kernels_, x.count(), x.as<const uint8_t>(), table, static_cast<uint8_t*>(y),
                at.pixels());
  return {};
}

}  // namespace reluflow
