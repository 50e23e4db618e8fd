// What one run of a convolution of bytes is given, and what its ways of summing share.
#ifndef RELUFLOW_FIXED_FIXED_RUN_H
#define RELUFLOW_FIXED_FIXED_RUN_H

#include <cstdint>

#include "base/runner.h"
#include "base/status.h"
#include "grid/grid_weights.h"
#include "grid/stores.h"
#include "spec/conv_shape.h"
#include "spec/region.h"

namespace reluflow {

/// Where sums a go as floats instead of bytes: a 2^(emax - 6 - f) + bias.
struct FloatOutput {
  float* y = nullptr;  ///< null: the run gives bytes
  const int8_t* emax = nullptr;
  const float* bias = nullptr;  ///< or null
  bool rows = false;            ///< an image is [pixels, outputs]; else [outputs, pixels]
};

/// One run of a convolution. Its weights are a drawn set, or are drawn block by block on the way.
struct FixedConvRun {
  const ConvSpec& conv;
  const ConvShape& shape;
  const Kernels& kernels;
  const GridCode& code;
  const GridSet* set;    ///< drawn weights, or null
  const GridDraw* draw;  ///< draws them where there is no set
  const Stores& stores;
  const FixedFormats& formats;
  const uint8_t* x;      ///< [batch, spatial..., inputs]
  uint8_t* y;            ///< [batch, spatial..., outputs]
  const uint8_t* z;      ///< like y, added before the clamp, or null
  const uint8_t* table;  ///< 256 bytes applied to y, or null
  FloatOutput floats{};
  const Region* region = nullptr;  ///< the output pixels that are computed, or null: all
};

/// What the sets of a convolution are used for.
GridUse grid_use(const ConvSpec& conv, const Kernels& kernels, const GridCode& code, int x_zero);

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

/// Whether all pixels that the windows of a run see lie in the input.
bool sees_no_padding(const FixedConvRun& run, const PixelRun& pixels);

/// Copies what the windows of a run see, one row for each of the kernel's, `layout.row` apart.
void copy_run(const FixedConvRun& run, const BandLayout& layout, const PixelRun& pixels,
              uint8_t* out);

}  // namespace reluflow

#endif
