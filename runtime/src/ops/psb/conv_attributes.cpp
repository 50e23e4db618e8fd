#include "ops/psb/conv_attributes.h"

#include "base/checked.h"
#include "base/text.h"
#include "ops/psb/psb_node.h"

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

Status read_conv(const NodeInfo& info, const std::vector<int64_t>& weight_shape, ConvSpec* out) {
  ConvSpec& conv = *out;
  RELUFLOW_RETURN_IF_BAD(
      check_weight_shape(weight_shape, {3, 4}, "[M, C/group, k] or [M, C/group, kH, kW]"));
  conv.spatial_rank = static_cast<int>(weight_shape.size()) - 2;
  conv.outputs = weight_shape[0];
  conv.group_inputs = weight_shape[1];
  RELUFLOW_RETURN_IF_BAD(info.read("group", &conv.group));
  if (conv.group < 1 || conv.group > kMostSize || conv.outputs % conv.group != 0) {
    return Status("group is " + std::to_string(conv.group) + ", but a divisor of the " +
                  std::to_string(conv.outputs) +
                  " output channels is wanted; convert the model again.");
  }
  const size_t rank = static_cast<size_t>(conv.spatial_rank);
  std::vector<int64_t> strides(rank, 1);
  std::vector<int64_t> dilations(rank, 1);
  std::vector<int64_t> pads(2 * rank, 0);
  RELUFLOW_RETURN_IF_BAD(read_list(info, "strides", rank, 1, &strides));
  RELUFLOW_RETURN_IF_BAD(read_list(info, "dilations", rank, 1, &dilations));
  RELUFLOW_RETURN_IF_BAD(read_list(info, "pads", 2 * rank, 0, &pads));
  RELUFLOW_RETURN_IF_BAD(read_auto_pad(info, &conv.auto_pad));
  const size_t skip = 2 - rank;
  for (size_t i = 0; i < rank; ++i) {
    conv.kernel[skip + i] = weight_shape[2 + i];
    conv.strides[skip + i] = strides[i];
    conv.dilations[skip + i] = dilations[i];
    conv.pads_begin[skip + i] = pads[i];
    conv.pads_end[skip + i] = pads[rank + i];
  }
  return {};
}

}  // namespace reluflow
