// What the inner loops of fixed-point chains are given: docs/psb-ops.md, "Chains".
//
// Tensors are bytes with the channels last. Four input channels of one pixel are a quad.
#ifndef RELUFLOW_KERNELS_FIXED_ARGS_H
#define RELUFLOW_KERNELS_FIXED_ARGS_H

#include <cstdint>

namespace reluflow {

constexpr int kQuad = 4;          ///< input channels whose products one instruction adds
constexpr int kFixedPixels = 6;   ///< pixels in one tile, at most
constexpr int kFixedCodes = 256;  ///< (nibble, 4 bits of p): the codes that a byte numbers

/// How the sums of up to 64 output channels become bytes.
///
/// t = sum; where `adjusts`, clamp(t + before, -most, most) << up, then
/// (t + (1 << down >> 1)) >> down;
/// y = clamp((t + add + (z << z_shift)) >> shift, low, high).
struct FixedStore {
  alignas(64) int32_t add[64];
  alignas(64) int32_t shift[64];
  alignas(64) int32_t z_shift[64];
  alignas(64) int32_t before[64];
  alignas(64) int32_t most[64];
  alignas(64) int32_t up[64];
  alignas(64) int32_t down[64];
  bool adjusts;
  int32_t low;
  int32_t high;
};

/// The codes whose magnitudes are below 1: half of them.
constexpr int kFixedSmall = 128;

/// Magnitudes and chances of all codes, as `FixedDrawArgs` has them.
struct FixedTables {
  alignas(64) uint8_t low[kFixedCodes];
  alignas(64) uint8_t high[kFixedCodes];
  alignas(64) uint8_t chance[kFixedCodes];
};

/// sum over quads of x[pixel][quad] . w[quad][lane], for `pixels` x (16 * vectors) lanes, stored
/// as bytes, or as they are.
struct FixedTileArgs {
  const uint8_t* const* pixels;  ///< first byte of each pixel; its quads lie at `offsets`
  const int32_t* offsets;        ///< byte offset of each quad
  const int8_t* weights;         ///< [quads][16 * vectors][4]
  int64_t quads;
  const FixedStore* store;
  int lanes;                ///< valid ones
  const uint8_t* const* z;  ///< first lane of each pixel, or null
  uint8_t* const* out;      ///< first lane of each pixel
  /// Memory that is needed soon, or null: a line of 64 bytes per quad is fetched while the tile is
  /// summed. A kernel may ignore it.
  const uint8_t* ahead;
  int32_t* sums;  ///< [pixels][64], where the sums go instead of `out`; or null
};

/// Draws the weights of one block of output channels on the 8-bit grid.
struct FixedDrawArgs {
  const uint8_t* codes;   ///< [quads][vectors][64]: nibble << 4 | p in 4 bits
  const uint64_t* signs;  ///< one bit for each of these, set where negative; 0 for a weight of 0
  /// Below kFixedSmall lie the codes of magnitudes below 1: there `low` is 0 and `high` at most 1.
  /// Where `chance` is 0, `high` is `low`. Null where nothing is drawn.
  const FixedTables* tables;
  const uint8_t* nearest;  ///< the magnitudes of all codes where nothing is drawn
  uint8_t* carry;          ///< [vectors][64], read and left for the next quads
  int64_t quads;
  int vectors;
  int8_t* out;
};

/// How a depthwise kernel's columns are shared: `quads` groups of four neighbouring columns give
/// `outputs` neighbouring output pixels.
struct FixedColumns {
  int quads;
  int outputs;
};

/// Arranges the taps of up to 64 depthwise channels for rows whose columns are shared.
struct FixedArrangeArgs {
  const int8_t* taps;  ///< [kernel_rows][kernel_columns][64]
  int kernel_rows;
  int kernel_columns;
  int stride;  ///< columns from one output pixel to the next
  FixedColumns columns;
  int8_t* out;  ///< as in FixedDepthwiseArgs
};

/// One output row of up to 64 depthwise channels.
struct FixedDepthwiseArgs {
  const uint8_t* x;  ///< first channel of the first pixel of the first window
  int64_t row;       ///< bytes from one row of taps to the next
  int64_t pixel;     ///< bytes from one pixel to the next
  int64_t tap;       ///< bytes from one column of taps to the next
  int64_t step;      ///< bytes from one window to the next
  int kernel_rows;
  int kernel_columns;
  const int8_t* weights;  ///< [taps][64]
  /// [kernel_rows][outputs][quads][4][16][4]: weights of four columns, 0 where a window has none;
  /// vector v holds in lane i channel `depthwise_channel(v, i)`. Null where columns share nothing.
  const int8_t* arranged;
  FixedColumns columns;
  const FixedStore* store;     ///< in order of the channels
  const FixedStore* permuted;  ///< in order of `depthwise_channel`
  int lanes;                   ///< valid channels
  int64_t width;               ///< output pixels
  const uint8_t* z;            ///< like out, or null
  uint8_t* out;
  int64_t out_step;  ///< bytes from one output pixel to the next
};

/// The channel in lane i of vector v after bytes of four columns were interleaved.
constexpr int depthwise_channel(int v, int i) { return i / 4 * 16 + v * 4 + i % 4; }

/// Quantises up to four planes to the bytes of a quad of every pixel.
struct FixedPackArgs {
  const float* x;  ///< [channels][plane]
  int64_t plane;   ///< elements from one channel to the next
  int channels;    ///< 1 to 4; those behind have the value 0
  int stored;      ///< bytes that are written
  int64_t pixels;
  int64_t step;  ///< bytes from one pixel to the next
  float scale;
  int zero;
  uint8_t* out;
};

}  // namespace reluflow

#endif
