#include "conv_shape.h"

#include <algorithm>

namespace reluflow {

namespace {

/// Zero pixels in front and behind of one axis.
void padding_of(const ConvSpec& spec, int axis, int64_t size, int64_t* begin, int64_t* end) {
  *begin = spec.pads_begin[axis];
  *end = spec.pads_end[axis];
  if (spec.auto_pad == AutoPad::kNotSet) return;
  *begin = *end = 0;
  if (spec.auto_pad == AutoPad::kValid) return;
  const int64_t stride = spec.strides[axis];
  const int64_t span = spec.dilations[axis] * (spec.kernel[axis] - 1) + 1;
  const int64_t total =
      std::max<int64_t>(0, ((size + stride - 1) / stride - 1) * stride + span - size);
  *begin = spec.auto_pad == AutoPad::kSameUpper ? total / 2 : total - total / 2;
  *end = total - *begin;
}

Status place_axis(const ConvSpec& spec, int axis, ConvShape* out) {
  int64_t end = 0;
  padding_of(spec, axis, out->input[axis], &out->begin[axis], &end);
  const int64_t span = spec.dilations[axis] * (spec.kernel[axis] - 1) + 1;
  const int64_t room = out->input[axis] + out->begin[axis] + end - span;
  if (room < 0) {
    return Status("X has " + std::to_string(out->input[axis]) +
                  " pixels along a spatial axis, but with its padding at least " +
                  std::to_string(span) + " are wanted; give a larger input or more padding.");
  }
  out->output[axis] = room / spec.strides[axis] + 1;
  const bool one_tap = spec.kernel[axis] == 1;
  out->pack_step[axis] = one_tap ? spec.strides[axis] : 1;
  out->window_step[axis] = one_tap ? 1 : spec.strides[axis];
  out->packed[axis] =
      one_tap ? out->output[axis] : (out->output[axis] - 1) * spec.strides[axis] + span;
  return {};
}

}  // namespace

std::string text_of(const std::vector<int64_t>& dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

Status place_windows(const ConvSpec& spec, const std::vector<int64_t>& x_dims, ConvShape* out) {
  const size_t rank = static_cast<size_t>(spec.spatial_rank) + 2;
  if (x_dims.size() != rank || x_dims[1] != spec.inputs()) {
    return Status("X has shape " + text_of(x_dims) + ", but rank " + std::to_string(rank) +
                  " and " + std::to_string(spec.inputs()) +
                  " channels are wanted; give an input that fits weight_shape and group.");
  }
  out->batch = x_dims[0];
  out->input[0] = spec.spatial_rank == 2 ? x_dims[2] : 1;
  out->input[1] = x_dims.back();
  RELUFLOW_RETURN_IF_BAD(place_axis(spec, 0, out));
  return place_axis(spec, 1, out);
}

}  // namespace reluflow
