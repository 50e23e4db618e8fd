#include "ops/fixed/fixed_conv.h"

#include <cstdlib>

#include "base/text.h"
#include "fixed/fixed_conv.h"
#include "fixed/fixed_depthwise.h"
#include "ops/fixed/fixed_attributes.h"
#include "ops/psb/conv_attributes.h"

namespace reluflow {

namespace {

constexpr size_t kZ = kFurther;
constexpr size_t kTable = kFurther + 1;

LaneShape grid_shape(const ConvSpec& conv) {
  return {conv.group, conv.outputs / conv.group, conv.group_inputs, conv.taps()};
}

constexpr int kMostApart = 20;  // bits between the formats of Y and Z, so that sums hold both

/// Refuses an X that does not fit, in the order of its own axes.
Status check_x(const ConvSpec& conv, const std::vector<int64_t>& dims) {
  const size_t rank = static_cast<size_t>(conv.spatial_rank) + 2;
  if (dims.size() == rank && dims.back() == conv.inputs()) return {};
  return Status("X has shape " + text_of(dims) + ", but rank " + std::to_string(rank) + " and " +
                std::to_string(conv.inputs()) +
                " channels in the last axis are wanted; give the bytes of a chain that fit "
                "weight_shape and group.");
}

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
  std::vector<int64_t> weight_shape;
  RELUFLOW_RETURN_IF_BAD(info.read("weight_shape", &weight_shape));
  RELUFLOW_RETURN_IF_BAD(read_conv(info, weight_shape, &made->conv_));
  RELUFLOW_RETURN_IF_BAD(
      made->node_.create(info, weight_shape, [conv = made->conv_] { return grid_shape(conv); }));
  RELUFLOW_RETURN_IF_BAD(read_format(info, "x", &made->formats_.x));
  RELUFLOW_RETURN_IF_BAD(read_format(info, "y", &made->formats_.y));
  RELUFLOW_RETURN_IF_BAD(read_format(info, "z", &made->formats_.z));
  RELUFLOW_RETURN_IF_BAD(read_bounds(info, &made->formats_.low, &made->formats_.high));
  *out = std::move(made);
  return {};
}

Status FixedConv::compute(Call& call) const {
  std::optional<Tensor> x;
  RELUFLOW_RETURN_IF_BAD(call.input(kX, &x));
  if (!x) return Status("X is missing; give the bytes of a chain.");
  std::vector<int64_t> dims = channels_first(x->dims);
  ConvSpec conv = conv_;
  if (conv.group == 1 && dims.size() > 1 && dims[1] == (conv.group_inputs + 3) / 4 * 4) {
    conv.group_inputs = dims[1];  // channels that fill a quad up have weights of 0
  }
  RELUFLOW_RETURN_IF_BAD(check_x(conv, x->dims));
  ConvShape shape;
  RELUFLOW_RETURN_IF_BAD(place_windows(conv, dims, &shape));
  FixedInputs in;
  RELUFLOW_RETURN_IF_BAD(node_.open(call, &in));
  dims = {shape.batch, conv.outputs, shape.output[0], shape.output[1]};
  if (conv.spatial_rank == 1) dims.erase(dims.begin() + 2);
  dims = channels_last(dims);
  std::optional<Tensor> z;
  RELUFLOW_RETURN_IF_BAD(call.input(kZ, &z));
  const bool adds = z && z->dims != std::vector<int64_t>{0};
  if (adds) RELUFLOW_RETURN_IF_BAD(check_z(formats_, z->dims, dims));
  const uint8_t* table = nullptr;
  RELUFLOW_RETURN_IF_BAD(read_table(call, kTable, &table));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  GridWeights& weights = *in.weights;
  const GridUse use = grid_use(conv, node_.kernels(), weights.code(), formats_.x.zero);
  const GridDraw draw(weights.code(), node_.kernels(), in.precision,
                      make_key(in.precision.seed, node_.spec().stream));
  auto set = weights.find(in.precision);
  if (!set && (weights.repeats(in.precision) || !draws_by_blocks(weights.code(), shape))) {
    set = weights.draw(call, node_.kernels(), node_.spec(), in.precision, use);
  }
  const GridSet* drawn = set ? set.operator->() : nullptr;
  const StoreInputs store{in.emax.as<const int8_t>(),
                          in.bias ? in.bias->as<const float>() : nullptr, adds};
  const auto stores = find_stores(&stores_, formats_, store, weights.code(), drawn);
  const FixedConvRun run{conv,
                         shape,
                         node_.kernels(),
                         weights.code(),
                         drawn,
                         &draw,
                         *stores.operator->(),
                         formats_,
                         x->as<const uint8_t>(),
                         static_cast<uint8_t*>(y),
                         adds ? z->as<const uint8_t>() : nullptr,
                         table};
  if (weights.depthwise()) return run_fixed_depthwise(call, run, use.columns);
  return run_fixed_conv(call, run);
}

}  // namespace reluflow
