// What the inner loops of chains of 16 bits are given: docs/psb-ops.md, "Chains of 16 bits".
//
// Tensors are int16 with the channels last. Tiles are those of the other operators, with raw sums.
#ifndef RELUFLOW_KERNELS_FIXED16_ARGS_H
#define RELUFLOW_KERNELS_FIXED16_ARGS_H

#include <cstdint>

namespace reluflow {

/// How the sums of up to 64 output channels become values of 16 bits.
///
/// t = (sum + half) >> down where `rounds`, else the sum itself. Of a sum in two parts that is the
/// low one, and high << left is added. Where `deep`, t = (t + half2) >> down2; where `raises`,
/// t = clamp(t, -most, most) << up; then y = clamp((t + add + (z << z_shift)) >> shift, low, high).
struct Fixed16Store {
  alignas(64) int32_t half[64];
  alignas(64) int32_t down[64];
  alignas(64) int32_t left[64];
  alignas(64) int32_t half2[64];
  alignas(64) int32_t down2[64];
  alignas(64) int32_t most[64];
  alignas(64) int32_t up[64];
  alignas(64) int32_t add[64];
  alignas(64) int32_t z_shift[64];
  alignas(64) int32_t shift[64];
  bool rounds;
  bool deep;
  bool raises;
  int32_t low;
  int32_t high;
};

/// Scales the sums of some pixels and stores them.
struct Fixed16StoreArgs {
  const Fixed16Store* store;
  const int32_t* sums;  ///< [pixels][64], or the low parts of sums in two parts
  const int32_t* high;  ///< the high parts, or null
  int pixels;
  int lanes;                ///< valid ones
  const int16_t* const* z;  ///< first lane of each pixel, or null
  int16_t* const* out;      ///< first lane of each pixel
};

/// Neighbouring output pixels of up to 64 depthwise channels.
struct Fixed16DepthwiseArgs {
  const int16_t* const* taps;  ///< [2 * pairs] channel 0 of what each tap sees at pixel 0
  int64_t offset;              ///< the first channel
  int64_t step;                ///< elements from one pixel's windows to the next
  int64_t pairs;               ///< pairs of taps; the last may pair with a weight of 0
  const int64_t* ends;         ///< where each run of pairs ends that is not beyond kRunMost
  int64_t runs;
  const int16_t* weights;     ///< [pairs][4][16][2], in order of `depthwise16_channel`
  const Fixed16Store* store;  ///< in that order
  int lanes;                  ///< valid channels
  int64_t width;              ///< output pixels
  const int16_t* z;           ///< like out, or null
  int16_t* out;
  int64_t out_step;  ///< elements from one output pixel to the next
};

/// The channel in lane i of vector v after the values of two taps were interleaved.
constexpr int depthwise16_channel(int v, int i) {
  return v / 2 * 32 + i / 4 * 8 + v % 2 * 4 + i % 4;
}

/// The least and the largest of some values and 0.
struct Range16 {
  int low;
  int high;
};

/// Quantises planes to neighbouring channels of every pixel.
struct Fixed16PackArgs {
  const float* x;  ///< [channels][plane]
  int64_t plane;   ///< elements from one channel to the next
  int64_t channels;
  int64_t pixels;
  int64_t step;  ///< elements from one pixel to the next
  float scale;
  float limit;
  int16_t* out;
};

}  // namespace reluflow

#endif
