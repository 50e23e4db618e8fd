// Where the windows of a convolution lie, as ONNX Conv defines it.
#ifndef RELUFLOW_SPEC_CONV_SHAPE_H
#define RELUFLOW_SPEC_CONV_SHAPE_H

#include <cstdint>
#include <vector>

#include "base/status.h"

namespace reluflow {

enum class AutoPad { kNotSet, kValid, kSameUpper, kSameLower };

/// Attributes of a convolution. A 1-D one is 2-D with one row.
struct ConvSpec {
  int spatial_rank = 2;
  int64_t group = 1;
  int64_t group_inputs = 0;
  int64_t outputs = 0;
  int64_t kernel[2] = {1, 1};
  int64_t strides[2] = {1, 1};
  int64_t dilations[2] = {1, 1};
  int64_t pads_begin[2] = {0, 0};
  int64_t pads_end[2] = {0, 0};
  AutoPad auto_pad = AutoPad::kNotSet;

  int64_t taps() const { return kernel[0] * kernel[1]; }
  int64_t inputs() const { return group * group_inputs; }
};

/// A convolution over an input of known size.
struct ConvShape {
  int64_t batch = 0;
  int64_t input[2] = {1, 1};
  int64_t output[2] = {1, 1};
  int64_t begin[2] = {0, 0};  ///< zero pixels in front; below 0: pixels left out
  /// Input pixels from one packed pixel to the next. An axis of one tap is packed at its stride,
  /// so that no pixel is packed in vain.
  int64_t pack_step[2] = {1, 1};
  int64_t window_step[2] = {1, 1};  ///< packed pixels from one window to the next
  int64_t packed[2] = {1, 1};       ///< packed pixels of a plane, padding included

  int64_t pixels() const { return output[0] * output[1]; }
  int64_t plane() const { return packed[0] * packed[1]; }
};

/// Fits the windows into an input `x_dims`, or says why they do not fit.
///
/// Whatever the attributes are, each below 2^31: a plane or an image beyond `kMostSize` pixels or
/// `kMostWords` words is refused, so that no later product of sizes overflows.
Status place_windows(const ConvSpec& spec, const std::vector<int64_t>& x_dims, ConvShape* out);

}  // namespace reluflow

#endif
