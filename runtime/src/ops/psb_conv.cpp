#include "ops/psb_conv.h"

#include "base/checked.h"
#include "base/text.h"
#include "sums/conv.h"

namespace reluflow {

namespace {

/// Reads a list attribute of `count` integers, each at least `least`.
Status read_list(const NodeInfo& info, const char* name, size_t count, int64_t least,
                 std::vector<int64_t>* out) {
  RELUFLOW_RETURN_IF_BAD(info.read(name, out));
  bool good = out->size() == count;
  for (const int64_t v : *out) good = good && v >= least && v <= kMostSize;
  if (good) return {};
  return Status(std::string(name) + " is " + text_of(*out) + ", but " + std::to_string(count) +
                " whole numbers, each at least " + std::to_string(least) +
                ", are wanted; convert the model again.");
}

Status read_auto_pad(const NodeInfo& info, AutoPad* out) {
  std::string name = "NOTSET";
  RELUFLOW_RETURN_IF_BAD(info.read("auto_pad", &name));
  if (name == "NOTSET" || name.empty())
    *out = AutoPad::kNotSet;
  else if (name == "VALID")
    *out = AutoPad::kValid;
  else if (name == "SAME_UPPER")
    *out = AutoPad::kSameUpper;
  else if (name == "SAME_LOWER")
    *out = AutoPad::kSameLower;
  else
    return Status("auto_pad is \"" + name +
                  "\", but NOTSET, VALID, SAME_UPPER and SAME_LOWER are accepted; convert the "
                  "model again.");
  return {};
}

}  // namespace

Status PsbConv::read_windows(const NodeInfo& info, const std::vector<int64_t>& weight_shape) {
  RELUFLOW_RETURN_IF_BAD(
      check_weight_shape(weight_shape, {3, 4}, "[M, C/group, k] or [M, C/group, kH, kW]"));
  conv_.spatial_rank = static_cast<int>(weight_shape.size()) - 2;
  conv_.outputs = weight_shape[0];
  conv_.group_inputs = weight_shape[1];
  RELUFLOW_RETURN_IF_BAD(info.read("group", &conv_.group));
  if (conv_.group < 1 || conv_.group > kMostSize || conv_.outputs % conv_.group != 0) {
    return Status("group is " + std::to_string(conv_.group) + ", but a divisor of the " +
                  std::to_string(conv_.outputs) +
                  " output channels is wanted; convert the model again.");
  }
  const size_t rank = static_cast<size_t>(conv_.spatial_rank);
  std::vector<int64_t> strides(rank, 1);
  std::vector<int64_t> dilations(rank, 1);
  std::vector<int64_t> pads(2 * rank, 0);
  RELUFLOW_RETURN_IF_BAD(read_list(info, "strides", rank, 1, &strides));
  RELUFLOW_RETURN_IF_BAD(read_list(info, "dilations", rank, 1, &dilations));
  RELUFLOW_RETURN_IF_BAD(read_list(info, "pads", 2 * rank, 0, &pads));
  RELUFLOW_RETURN_IF_BAD(read_auto_pad(info, &conv_.auto_pad));
  const size_t skip = 2 - rank;
  for (size_t i = 0; i < rank; ++i) {
    conv_.kernel[skip + i] = weight_shape[2 + i];
    conv_.strides[skip + i] = strides[i];
    conv_.dilations[skip + i] = dilations[i];
    conv_.pads_begin[skip + i] = pads[i];
    conv_.pads_end[skip + i] = pads[rank + i];
  }
  return {};
}

Status PsbConv::create(const NodeInfo& info, std::unique_ptr<PsbConv>* out) {
  auto made = std::make_unique<PsbConv>();
  std::vector<int64_t> weight_shape;
  RELUFLOW_RETURN_IF_BAD(info.read("weight_shape", &weight_shape));
  RELUFLOW_RETURN_IF_BAD(made->read_windows(info, weight_shape));
  RELUFLOW_RETURN_IF_BAD(
      made->node_.create(info, weight_shape, [conv = made->conv_] { return lane_shape(conv); }));
  *out = std::move(made);
  return {};
}

Status PsbConv::compute(Call& call) const {
  std::optional<Tensor> region;
  RELUFLOW_RETURN_IF_BAD(call.input(kFurther, &region));
  if (region) return Status("region is given, but is not used yet; leave it out.");
  std::optional<Tensor> x;
  RELUFLOW_RETURN_IF_BAD(call.input(kX, &x));
  if (!x) return Status("X is missing; give float32 values.");
  RELUFLOW_RETURN_IF_BAD(check_float(*x, "X"));
  ConvShape shape;
  RELUFLOW_RETURN_IF_BAD(place_windows(conv_, x->dims, &shape));
  PsbInputs in;
  RELUFLOW_RETURN_IF_BAD(node_.open(call, &in));
  std::vector<int64_t> dims = {shape.batch, conv_.outputs, shape.output[0], shape.output[1]};
  if (conv_.spatial_rank == 1) dims.erase(dims.begin() + 2);
  const float* z = nullptr;
  RELUFLOW_RETURN_IF_BAD(open_z(call, kFurther + 1, dims, &z));
  void* y = nullptr;
  RELUFLOW_RETURN_IF_BAD(call.output(0, dims, &y));
  return run_conv(call,
                  {node_.spec(), conv_, shape, node_.kernels(), *in.weights, in.precision,
                   x->as<const float>(), in.emax.as<const int8_t>(),
                   in.bias ? in.bias->as<const float>() : nullptr, static_cast<float*>(y), z});
}

}  // namespace reluflow
