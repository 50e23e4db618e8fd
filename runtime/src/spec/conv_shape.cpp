#include "spec/conv_shape.h"

#include <string>

#include "base/checked.h"
#include "base/text.h"

namespace reluflow {

namespace {

/// Zero pixels in front and behind of one axis.
struct Padding {
  Checked begin = 0;
  Checked end = 0;
};

/// Pixels that a window covers.
Checked span_of(const ConvSpec& spec, int axis) {
  return Checked(spec.dilations[axis]) * (Checked(spec.kernel[axis]) - 1) + 1;
}

Padding padding_of(const ConvSpec& spec, int axis, int64_t size) {
  if (spec.auto_pad == AutoPad::kNotSet) return {spec.pads_begin[axis], spec.pads_end[axis]};
  if (spec.auto_pad == AutoPad::kValid || size < 1) return {};
  const int64_t stride = spec.strides[axis];
  const int64_t windows = (size - 1) / stride + 1;
  // Negative where a stride exceeds the window: the windows then lie in the middle of the pixels
  // that they leave out. The text of ONNX does not say where; this is what ONNX Runtime does.
  const Checked total = Checked(windows - 1) * stride + span_of(spec, axis) - size;
  if (!total.good()) return {total, total};
  const int64_t odd = (spec.auto_pad == AutoPad::kSameLower ? 1 : 0) + (total.value() < 0 ? 1 : 0);
  const int64_t begin = (total.value() + odd) / 2;
  return {begin, total - begin};
}

Status too_large(const ConvSpec& spec, const std::vector<int64_t>& x_dims) {
  return Status("X of shape " + text_of(x_dims) + " with its padding, windows of " +
                std::to_string(spec.kernel[0]) + " x " + std::to_string(spec.kernel[1]) +
                " taps and dilations of " + std::to_string(spec.dilations[0]) + " and " +
                std::to_string(spec.dilations[1]) + " takes more than " +
                std::to_string(kMostSize) + " pixels a channel or " + std::to_string(kMostWords) +
                " in all; give smaller pads, dilations or inputs.");
}

Status place_axis(const ConvSpec& spec, int axis, const std::vector<int64_t>& x_dims,
                  ConvShape* out) {
  const Padding pad = padding_of(spec, axis, out->input[axis]);
  const Checked span = span_of(spec, axis);
  const Checked room = Checked(out->input[axis]) + pad.begin + pad.end - span;
  if (!room.good()) return too_large(spec, x_dims);
  if (room.value() < 0) {
    return Status("X has " + std::to_string(out->input[axis]) +
                  " pixels along a spatial axis, but with its padding at least " +
                  std::to_string(span.value()) +
                  " are wanted; give a larger input or more padding.");
  }
  out->begin[axis] = pad.begin.value();
  out->output[axis] = room.value() / spec.strides[axis] + 1;
  const bool one_tap = spec.kernel[axis] == 1;
  out->pack_step[axis] = one_tap ? spec.strides[axis] : 1;
  out->window_step[axis] = one_tap ? 1 : spec.strides[axis];
  const Checked packed = one_tap ? Checked(out->output[axis])
                                 : (Checked(out->output[axis]) - 1) * spec.strides[axis] + span;
  if (!packed.at_most(kMostSize)) return too_large(spec, x_dims);
  out->packed[axis] = packed.value();
  return {};
}

/// Refuses images whose packed planes, or whose input and output, are beyond any sane size.
Status check_size(const ConvSpec& spec, const std::vector<int64_t>& x_dims,
                  const ConvShape& shape) {
  constexpr int64_t kSpread = 64;  // what is added to the end of a plane at most
  constexpr int64_t kMostElements = int64_t{1}
                                    << 48;  // no machine holds them, and bytes fit 64 bits
  const Checked plane = Checked(shape.packed[0]) * shape.packed[1];
  const Checked words = Checked(spec.group) * ((spec.group_inputs + 1) / 2) * (plane + kSpread);
  const Checked input = Checked(spec.inputs()) * shape.input[0] * shape.input[1];
  const Checked output = Checked(spec.outputs) * shape.output[0] * shape.output[1];
  const bool fits = plane.at_most(kMostSize) && words.at_most(kMostWords) &&
                    (input * shape.batch).at_most(kMostElements) &&
                    (output * shape.batch).at_most(kMostElements);
  return fits ? Status() : too_large(spec, x_dims);
}

}  // namespace

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
  RELUFLOW_RETURN_IF_BAD(place_axis(spec, 0, x_dims, out));
  RELUFLOW_RETURN_IF_BAD(place_axis(spec, 1, x_dims, out));
  return check_size(spec, x_dims, *out);
}

}  // namespace reluflow
