// Quantised images in the layout of the tiles: one int32 holds two channels of a pixel.
#ifndef RELUFLOW_INPUTS_PACKED_INPUT_H
#define RELUFLOW_INPUTS_PACKED_INPUT_H

#include <cstdint>
#include <vector>

#include "base/runner.h"
#include "kernels/kernels.h"
#include "spec/conv_shape.h"
#include "weights/pair_order.h"

namespace reluflow {

/// Geometry of packed images: [image][group][channel pair][row][column], padding included.
struct PackedLayout {
  const ConvSpec& conv;
  const ConvShape& shape;
  int64_t plane_stride;  ///< pixels from one plane to the next

  int64_t group_pairs() const { return (conv.group_inputs + 1) / 2; }
  int64_t planes() const { return conv.group * group_pairs(); }
  int64_t image() const { return planes() * plane_stride; }

  /// Pixel number of window `pixel` inside its plane.
  int64_t window(int64_t pixel) const {
    return pixel / shape.output[1] * shape.window_step[0] * shape.packed[1] +
           pixel % shape.output[1] * shape.window_step[1];
  }
  /// Pixel offset of every pair of a group, in the order of pairs.
  std::vector<int64_t> pair_offsets() const;
  /// Pixel offset of the low half of every word of an order.
  std::vector<int64_t> word_offsets(const PairOrder& order) const;
};

/// The stride of planes of `pixels` pixels whose first lines fall into different sets of a cache.
int64_t spread(int64_t pixels);

/// Quantises rows of packed planes.
class RowPacker {
 public:
  /// `neighbour` as in PairOrder.
  RowPacker(const Kernels& kernels, const PackedLayout& layout, int f, int limit,
            int64_t neighbour);

  /// What gives the two halves of a plane's words.
  struct Plane {
    const float* low;
    const float* high;  ///< null where an odd last channel stands alone
  };
  /// Plane number `plane` of an image.
  Plane plane(const float* image, int64_t plane) const;

  /// Packs columns [first, first + count) of one row of a plane.
  void row(const Plane& plane, int64_t row, int64_t first, int64_t count, int32_t* out) const;

 private:
  const Kernels& kernels_;
  const PackedLayout& layout_;
  int64_t begin_;  // packed columns [begin_, end_) lie on input columns
  int64_t end_;
  int64_t input_;  // the first of these
  float scale_;
  float limit_;
  int64_t neighbour_;
};

/// Quantises and packs image number `number` of `x`.
void pack_image(Runner& runner, const Kernels& kernels, const PackedLayout& layout, const float* x,
                int64_t number, int f, int limit, int32_t* out);

}  // namespace reluflow

#endif
