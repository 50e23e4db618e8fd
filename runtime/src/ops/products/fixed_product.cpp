#include "ops/products/fixed_product.h"

#include <optional>

#include "base/text.h"
#include "fixed/fixed_conv.h"
#include "fixed/fixed_depthwise.h"
#include "ops/fixed/fixed_attributes.h"
#include "ops/psb/conv_attributes.h"

namespace reluflow {

namespace {

LaneShape grid_shape(const ConvSpec& conv) {
  return {conv.group, conv.outputs / conv.group, conv.group_inputs, conv.taps()};
}

/// Refuses an X that does not fit, in the order of its own axes.
Status check_x(const ConvSpec& conv, const std::vector<int64_t>& dims) {
  const size_t rank = static_cast<size_t>(conv.spatial_rank) + 2;
  if (dims.size() == rank && dims.back() == conv.inputs()) return {};
  return Status("X has shape " + text_of(dims) + ", but rank " + std::to_string(rank) + " and " +
                std::to_string(conv.inputs()) +
                " channels in the last axis are wanted; give the bytes of a chain that fit "
                "weight_shape and group.");
}

Status read_x(Call& call, ProductCall* out) {
  std::optional<Tensor> x;
  RELUFLOW_RETURN_IF_BAD(call.input(kX, &x));
  if (!x) return Status("X is missing; give the bytes of a chain.");
  out->x = *x;
  return {};
}

}  // namespace

Status FixedProduct::create_conv(const NodeInfo& info) {
  std::vector<int64_t> weight_shape;
  RELUFLOW_RETURN_IF_BAD(info.read("weight_shape", &weight_shape));
  RELUFLOW_RETURN_IF_BAD(read_conv(info, weight_shape, &conv));
  RELUFLOW_RETURN_IF_BAD(
      node.create(info, weight_shape, [this_conv = conv] { return grid_shape(this_conv); }));
  return read_format(info, "x", &formats.x);
}

Status FixedProduct::create_matmul(const NodeInfo& info) {
  std::vector<int64_t> weight_shape;
  RELUFLOW_RETURN_IF_BAD(info.read("weight_shape", &weight_shape));
  RELUFLOW_RETURN_IF_BAD(check_weight_shape(weight_shape, {2}, "[N, K]"));
  conv.spatial_rank = 1;
  conv.outputs = weight_shape[0];
  conv.group_inputs = weight_shape[1];
  RELUFLOW_RETURN_IF_BAD(
      node.create(info, weight_shape, [this_conv = conv] { return grid_shape(this_conv); }));
  return read_format(info, "x", &formats.x);
}

Status FixedProduct::open_conv(Call& call, ProductCall* out) const {
  RELUFLOW_RETURN_IF_BAD(read_x(call, out));
  const std::vector<int64_t> dims = channels_first(out->x.dims);
  out->conv = conv;
  if (conv.group == 1 && dims.size() > 1 && dims[1] == (conv.group_inputs + 3) / 4 * 4) {
    out->conv.group_inputs = dims[1];  // channels that fill a quad up have weights of 0
  }
  RELUFLOW_RETURN_IF_BAD(check_x(out->conv, out->x.dims));
  RELUFLOW_RETURN_IF_BAD(place_windows(out->conv, dims, &out->shape));
  RELUFLOW_RETURN_IF_BAD(node.open(call, &out->in));
  out->dims = {out->shape.batch, conv.outputs, out->shape.output[0], out->shape.output[1]};
  if (conv.spatial_rank == 1) out->dims.erase(out->dims.begin() + 2);
  return {};
}

Status FixedProduct::open_matmul(Call& call, ProductCall* out) const {
  RELUFLOW_RETURN_IF_BAD(read_x(call, out));
  out->conv = conv;
  out->dims = out->x.dims;
  if (out->dims.empty() || out->dims.back() != conv.group_inputs) {
    return Status("X has shape " + text_of(out->dims) + ", but [..., " +
                  std::to_string(conv.group_inputs) +
                  "] is wanted; give the bytes of a chain that fit weight_shape.");
  }
  out->dims.back() = conv.outputs;
  const int64_t rows = out->x.count() / conv.group_inputs;
  if (rows > 0) {
    RELUFLOW_RETURN_IF_BAD(place_windows(conv, {1, conv.group_inputs, rows}, &out->shape));
  }
  return node.open(call, &out->in);
}

Status FixedProduct::run(Call& call, const ProductCall& product) const {
  const int64_t pixels =
      product.region ? product.region->count() : product.shape.batch * product.shape.pixels();
  if (pixels == 0) return {};
  GridWeights& weights = *product.in.weights;
  const Precision& precision = product.in.precision;
  const Kernels& kernels = node.kernels();
  const GridUse use = grid_use(product.conv, kernels, weights.code(), formats.x.zero);
  const GridDraw draw(weights.code(), kernels, precision,
                      make_key(precision.seed, node.spec().stream));
  auto set = weights.find(precision);
  if (!set && (weights.repeats(precision) || !draws_by_blocks(weights.code(), pixels))) {
    set = weights.draw(call, kernels, node.spec(), precision, use);
  }
  const GridSet* drawn = set ? set.operator->() : nullptr;
  const auto* emax = product.in.emax.as<const int8_t>();
  const auto* bias = product.in.bias ? product.in.bias->as<const float>() : nullptr;
  const StoreInputs store{emax, bias, product.z != nullptr};
  const auto kept = find_stores(&stores, formats, store, weights.code(), drawn);
  const FixedConvRun run{product.conv,
                         product.shape,
                         kernels,
                         weights.code(),
                         drawn,
                         &draw,
                         *kept.operator->(),
                         formats,
                         product.x.as<const uint8_t>(),
                         product.y,
                         product.z,
                         product.table,
                         {product.floats, emax, bias, product.rows},
                         product.region};
  if (weights.depthwise() && !product.floats) return run_fixed_depthwise(call, run, use.columns);
  return run_fixed_conv(call, run);
}

}  // namespace reluflow
