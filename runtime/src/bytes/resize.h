// Linear interpolation of bytes, and of values of 16 bits, with the channels last.
#ifndef RELUFLOW_BYTES_RESIZE_H
#define RELUFLOW_BYTES_RESIZE_H

#include <cstdint>

#include "base/runner.h"
#include "kernels/kernels.h"
#include "spec/region.h"

namespace reluflow {

/// Where the pixels of an output lie among those of an input, as ONNX Resize names it.
enum class Coordinates { kHalfPixel, kPytorchHalfPixel, kAlignCorners, kAsymmetric };

constexpr int64_t kMostResized = int64_t{1} << 30;  ///< pixels of an axis, so that places fit

/// Sizes of an interpolation; a single axis is the second of two.
struct Resizing {
  int64_t batch;
  int64_t input[2];
  int64_t output[2];
  int64_t channels;
  Coordinates coordinates;
};

/// Every pixel, or every one of a region, between its neighbours with weights of 7 bits per axis,
/// rounded once, half up.
void resize_bytes(Runner& runner, const Kernels& kernels, const Resizing& sizes, const uint8_t* x,
                  uint8_t* out, const Region* region = nullptr);
void resize_shorts(Runner& runner, const Kernels& kernels, const Resizing& sizes, const int16_t* x,
                   int16_t* out, const Region* region = nullptr);

}  // namespace reluflow

#endif
