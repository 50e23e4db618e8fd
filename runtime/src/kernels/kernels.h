// The inner loops, one table of function pointers per instruction set.
//
// A kernel never allocates, never throws and does not know ONNX. All tables give the same bits.
#ifndef RELUFLOW_KERNELS_KERNELS_H
#define RELUFLOW_KERNELS_KERNELS_H

#include <cstdint>

#include "kernels/bytes_args.h"
#include "kernels/fixed16_args.h"
#include "kernels/fixed_args.h"

namespace reluflow {

constexpr int kLanes = 16;       ///< output channels in one vector
constexpr int kTileLanes = 64;   ///< output channels in one tile
constexpr int kMaxPixels = 8;    ///< pixels in one tile, at most
constexpr int kBlockPairs = 64;  ///< pairs whose sum is one exact integer

constexpr int kSpareRows = 16;  ///< rows behind a tile's sums that a store may read

/// Where a tile's sums go.
enum TileMode : int {
  kTileRaw = 0,    ///< int32 sums are stored
  kTileFirst = 1,  ///< sums are converted to float32 and stored
  kTileAdd = 2     ///< sums are converted to float32 and added to what is there
};

/// Memory that is needed soon: a line of 64 bytes per pair is fetched from each start while the
/// tile is summed. A kernel may ignore it.
struct Ahead {
  const char* words;
  const char* factors;
  const char* out;  ///< will be written
  /// Vectors of 32 weights to draw, one per pair, by the systematic sampler and from packed words
  /// or such with c >> 8 in them; null for none. Only for kernels with `tile_draws`.
  const uint16_t* draw_words;
  const int16_t* draw_factors;  ///< as many, or those of packed words
  bool packed;
  int16_t* draw_out;
  const uint32_t* shifted;  ///< U >> (log2 n + 3) without its low bits of each lane, in both halves
  uint32_t rest;            ///< the bits below those of k, in both halves
};

/// sum over pairs of x[pixel][pair] . w[pair][lane], for `pixels` x (16 * vectors) lanes.
struct TileArgs {
  const char* const* pixels;  ///< first byte of each pixel; a pixel's pairs lie at `taps`
  const int64_t* taps;        ///< byte offset of each pair
  const int16_t* weights;     ///< [pairs][16 * vectors][2]
  int64_t pairs;
  int mode;
  void* out;  ///< [pixels][kTileLanes] float or int32
  const Ahead* ahead = nullptr;
};

constexpr int kHighBits = 16;  ///< a sum in two parts is high 2^16 + low

/// The most that a run of pairs may sum up to: int32 holds it, what the run before left of its low
/// part, and half of the largest unit that a store rounds to.
constexpr int64_t kRunMost = (int64_t{1} << 31) - (1 << kHighBits) - (1 << (kHighBits - 1));

/// The sums of a tile over several runs of pairs, none of which is beyond kRunMost.
struct RunsArgs {
  const char* const* pixels;  ///< as in TileArgs
  const int64_t* taps;
  const int16_t* weights;
  const int64_t* ends;  ///< where each run ends, in pairs
  int64_t runs;
  int32_t* low;   ///< [pixels][kTileLanes]
  int32_t* high;  ///< as many, written where there are several runs
  /// Memory that is needed soon: a line every `ahead_step` bytes, 64 or 0, is fetched with each
  /// pair.
  const char* ahead;
  int64_t ahead_step;
};

/// Scales sums, adds the bias and z, applies the activation, writes the result.
struct StoreArgs {
  const float* sums;  ///< [pixels][kTileLanes], and kSpareRows more rows that may be read
  int pixels;
  int lanes;             ///< valid ones of kTileLanes
  const float* scale_a;  ///< [kTileLanes], power of two
  const float* scale_b;  ///< [kTileLanes], the rest of it where one float cannot hold it
  const float* bias;     ///< [kTileLanes] or null
  int clips;             ///< whether low and high apply
  float low;
  float high;
  const float* z;  ///< laid out like out, or null
  float* out;
  int64_t stride;  ///< elements from one lane (planar) or pixel (rows) to the next
};

/// The packed word of a weight whose p, and so whose c, has at most 4 bits:
/// p16 | c >> 6 | sign << 4 | j.
constexpr int kPackedCarry = 6;    ///< c stands so many bits lower
constexpr int kPackedCodes = 32;   ///< values of sign and j
constexpr int kPackedSign = 0x10;  ///< the bit of a negative weight

/// The bits of v' = (n + k) << (13 - log2 n) that are not of k, and which bits of an offset count:
/// words that are packed, with 4 bits of p, have nothing below bit 9, and others below bit 5.
struct DrawMasks {
  uint16_t rest;
  uint16_t offset;
};
constexpr DrawMasks draw_masks(int log2_n, bool packed) {
  const int below = packed && log2_n > 4 ? 9 : 13 - log2_n;
  return {static_cast<uint16_t>((1 << below) - 1), static_cast<uint16_t>(packed ? 0xfe00 : 0xffe0)};
}

/// Draws the weights of up to 64 output channels, stored in the order of the tiles.
struct DrawArgs {
  /// [pairs][16 * vectors][2]: packed words if sign_shift is null; else p16, with c >> 8 in the low
  /// byte if carried is null.
  const uint16_t* p16;
  const uint16_t* carried;    ///< c in the same order, or null when p has at most 8 bits
  const uint8_t* sign_shift;  ///< in the same order, or null
  /// `sampled_factor` of these, or of the kPackedCodes; null when p has more than 8 bits.
  const int16_t* factors;
  uint32_t first_channel;   ///< number of lane 0
  int64_t per_channel;      ///< Q
  const uint32_t* offsets;  ///< U of each lane, in both halves, for the systematic sampler
  const uint32_t* first;    ///< number within its channel of the first weight of each pair
  const uint32_t* second;   ///< and of the second
  int vectors;
  int64_t pair_begin;  ///< pairs [pair_begin, pair_end)
  int64_t pair_end;
  int log2_n;
  int sampler;  ///< 0 systematic, 1 binomial, 2 nearest
  uint32_t key_a;
  uint32_t key_b;
  int16_t* out;  ///< pair 0, in the same order
};

/// Quantises rows of one channel to words of two pixels each.
struct PackWordsArgs {
  const float* x;     ///< [height] rows of `width` pixels
  int64_t height;     ///< rows outside are zeros
  int64_t width;      ///< and so are pixels outside
  int64_t stride;     ///< elements from one row to the next
  int64_t first_row;  ///< row of the first words, negative in the padding
  int64_t row_step;   ///< from the row of one row of words to that of the next
  int pairs_rows;     ///< whether the next row gives the high halves of pack_words
  int64_t pad;        ///< zero pixels in front of a row
  int64_t n;          ///< words of a row, a multiple of 16
  int64_t rows;       ///< rows of words
  float scale;
  float limit;
  int32_t* out;  ///< [rows][n]
};

/// Output rows of one depthwise channel, from words of two pixels each.
struct DepthwiseArgs {
  const int32_t* words;    ///< first word of the first pass; 64 words behind the last may be read
  const int64_t* offsets;  ///< offset of each product in words
  const int16_t* weights;  ///< the two weights of the first product
  int64_t weight_step;     ///< from one product to the next, those of all rows in turn
  int64_t n;
  const int64_t* ends;  ///< where each run of products ends that is not beyond kRunMost
  int64_t runs;
  int rows;             ///< output rows of one pass: 1 or 2
  int64_t pass_step;    ///< words from one pass to the next
  int64_t column_step;  ///< words from one output pixel to the next
  int64_t height;       ///< output rows
  int64_t width;
  float scale_a;
  float scale_b;
  const float* bias;  ///< one value or null
  int clips;
  float low;
  float high;
  const float* z;  ///< like out, added before the activation, or null
  float* out;      ///< [height][width]
};

/// Fingerprints of `samples` neighbouring samples of float or double.
template <class T>
struct HashArgs {
  const T* x;           ///< unit 0 of the first sample
  int64_t unit_stride;  ///< elements from one unit (or, for rows, sample) to the next
  int64_t units;
  int64_t samples;        ///< at most kHashSamples
  const uint64_t* words;  ///< [units][2]
  T threshold;
  uint64_t* keys;     ///< [samples][2]
  int64_t* active;    ///< [units], added to; of this call alone
  int64_t nonfinite;  ///< result
};
constexpr int kHashSamples = 4096;  ///< a plane of 56 x 56 samples in one go, in memory order

/// Fingerprints of `samples` neighbouring samples whose units lie in blocks.
struct BlockedHashArgs {
  const float* x;           ///< block 0 of the first sample; the next sample follows it
  int64_t block;            ///< units in a block, 8 or 16
  int64_t block_stride;     ///< elements from one block of units to the next
  int64_t units;            ///< true ones; units that pad the last block are ignored
  int64_t samples;          ///< at most kBlockedSamples
  const uint64_t* words;    ///< [units up to a whole block][2], 0 past the true ones
  const uint64_t* nibbles;  ///< of nibble_words
  float threshold;
  uint64_t* keys;     ///< [samples][2]
  int32_t* active;    ///< [units up to a whole block], result
  int64_t nonfinite;  ///< result
};
constexpr int kBlockedSamples = 1024;

struct Kernels {
  const char* name;
  int tile_pixels;
  bool tile_draws;  ///< whether `tile` draws weights on its way
  /// Largest bit pattern of |x| among the finite values.
  uint32_t (*max_abs_bits)(const float* x, int64_t n);
  /// out[i] = quantised a[i * step] in the low half and b[i * step] (0 if null) in the high half.
  void (*pack_row)(const float* a, const float* b, int64_t n, int64_t step, float scale,
                   float limit, int32_t* out);
  void (*tile)(int pixels, int vectors, const TileArgs& args);
  void (*tile_runs)(int pixels, int vectors, const RunsArgs& args);
  /// sums[i] = or += high[i] 2^16 + low[i] rounded to float32, for `pixels` rows of `lanes`.
  void (*join)(const int32_t* low, const int32_t* high, int pixels, int lanes, bool first,
               float* sums);
  void (*store_planar)(const StoreArgs& args);
  void (*store_rows)(const StoreArgs& args);
  void (*draw)(const DrawArgs& args);
  /// out[i] = `random_bits` number (first + i) ^ flip.
  void (*random)(uint32_t key_a, uint32_t key_b, uint32_t first, uint32_t flip, int count,
                 uint32_t* out);
  /// Word i of row r: pixel i - pad of row first_row + r * row_step, and of the row behind it.
  void (*pack_words)(const PackWordsArgs& args);
  /// Word i of row r: pixels 2 i - pad and 2 i + 1 - pad of row first_row + r * row_step.
  void (*pack_neighbours)(const PackWordsArgs& args);
  void (*depthwise)(const DepthwiseArgs& args);
  void (*hash)(HashArgs<float>& args);       ///< units at unit_stride, samples contiguous
  void (*hash_rows)(HashArgs<float>& args);  ///< units contiguous, samples at unit_stride
  void (*hash_doubles)(HashArgs<double>& args);
  void (*hash_double_rows)(HashArgs<double>& args);
  void (*fixed_tile)(int pixels, int vectors, const FixedTileArgs& args);
  void (*fixed_depthwise)(const FixedDepthwiseArgs& args);
  /// Null where `fixed_depthwise` takes the taps as they are.
  void (*fixed_arrange)(const FixedArrangeArgs& args);
  void (*fixed_draw)(const FixedDrawArgs& args);
  /// sums[lane] += the weights [quads][16 * vectors][4] of each lane.
  void (*fixed_sums)(const int8_t* weights, int64_t quads, int vectors, int32_t* sums);
  void (*fixed_pack)(const FixedPackArgs& args);
  /// out[i] = max(out[i], x[i]).
  void (*fixed_max)(const uint8_t* x, int64_t n, uint8_t* out);
  /// values[i] = table[values[i]].
  void (*fixed_table)(uint8_t* values, int64_t n, const uint8_t* table);
  void (*bytes_add)(const BytesAddArgs& args);
  void (*bytes_mul)(const BytesMulArgs& args);
  /// sums[i] += x[i].
  void (*bytes_sum)(const uint8_t* x, int64_t n, int32_t* sums);
  void (*bytes_mean)(const int32_t* sums, int64_t n, const ByteMean& mean, uint8_t* out);
  void (*bytes_mix)(const MixArgs<uint8_t>& args);
  void (*shorts_mix)(const MixArgs<int16_t>& args);
  void (*fixed16_store)(const Fixed16StoreArgs& args);
  void (*fixed16_depthwise)(const Fixed16DepthwiseArgs& args);
  void (*fixed16_pack)(const Fixed16PackArgs& args);
  /// out[i] = the largest of taps[t][i], t in [0, count), count > 0.
  void (*fixed16_max)(const int16_t* const* taps, int64_t count, int64_t n, int16_t* out);
  /// The least and the largest of 0 and x[i].
  Range16 (*fixed16_range)(const int16_t* x, int64_t n);
  void (*blocked_hash)(BlockedHashArgs& args);
};

const Kernels& portable_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512vnni_kernels();
const Kernels& neon_kernels();
const Kernels& dotprod_kernels();
const Kernels& i8mm_kernels();

}  // namespace reluflow

#endif
