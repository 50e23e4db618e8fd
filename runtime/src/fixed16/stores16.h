// How sums of 16-bit values become values again, block by block, kept while exponents and bias
// stay.
#ifndef RELUFLOW_FIXED16_STORES16_H
#define RELUFLOW_FIXED16_STORES16_H

#include <cstdint>
#include <vector>

#include "fixed16/weights16.h"

namespace reluflow {

/// What a node's attributes say about its values: the exponents f of v 2^-f, and the bounds of Y.
struct Formats16 {
  int x_exponent = 0;
  int y_exponent = 0;
  int z_exponent = 0;
  int low = 0;
  int high = 0;
};

/// What the stores of a run follow from, besides the node's attributes.
struct StoreInputs16 {
  const int8_t* emax;  ///< [outputs]
  const float* bias;   ///< [outputs] or null
  bool adds;           ///< whether there is a z
};

/// The stores of all blocks of output channels; those of depthwise weights in order of
/// `depthwise16_channel`.
struct Stores16 {
  std::vector<int8_t> emax;
  std::vector<float> bias;
  bool has_bias = false;
  bool adds = false;
  Aligned<Fixed16Store> stores;

  explicit Stores16(int64_t blocks) : stores(static_cast<size_t>(blocks)) {}
};

using StoreCache16 = SetCache<Stores16>;

/// The stores of a run, kept or made.
StoreCache16::Lease find_stores16(StoreCache16* cache, const Formats16& formats,
                                  const StoreInputs16& in, const Weights16& weights);

}  // namespace reluflow

#endif
