// What one run of a convolution of bytes is given, and what its ways of summing share.
#ifndef RELUFLOW_FIXED_FIXED_RUN_H
#define RELUFLOW_FIXED_FIXED_RUN_H

#include <cstdint>

#include "base/runner.h"
#include "base/status.h"
#include "fixed/grid_weights.h"
#include "spec/conv_shape.h"
#include "spec/fixed_format.h"

namespace reluflow {

/// One run of a convolution.
struct FixedConvRun {
  const ConvSpec& conv;
  const ConvShape& shape;
  const Kernels& kernels;
  const GridCode& code;
  const GridSet& set;  ///< drawn weights
  const uint8_t* x;    ///< [batch, spatial..., inputs]
  FixedFormat x_format;
  const int8_t* emax;  ///< [outputs]
  const float* bias;   ///< [outputs] or null
  uint8_t* y;          ///< [batch, spatial..., outputs]
  FixedFormat y_format;
  int low;           ///< least byte of y
  int high;          ///< largest byte of y
  const uint8_t* z;  ///< like y, added before the clamp, or null
  FixedFormat z_format;
  const uint8_t* table;  ///< 256 bytes applied to y, or null
};

/// How the sums of a block of output channels become bytes.
void make_store(const FixedConvRun& run, const OutputBlock& block, FixedStore* out);

/// Where the pixels of an image lie for its windows: in place, or copied with their padding.
struct BandLayout {
  bool copies;
  int64_t group_bytes;  ///< of a group's channels of a pixel
  int64_t pixel;        ///< bytes from one pixel to the next
  int64_t row;          ///< from one row to the next
  int64_t step[2];      ///< pixels from one window to the next
};

/// Rows of pixels that the windows of `rows` output rows see.
int64_t band_rows(const FixedConvRun& run, int64_t rows);

/// Copies what the windows of output rows [begin, end) see; pixels outside have the value 0.
void copy_band(const FixedConvRun& run, const BandLayout& layout, int64_t image, int64_t begin,
               int64_t end, uint8_t* out);

}  // namespace reluflow

#endif
