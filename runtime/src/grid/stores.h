// How sums become bytes, block by block, kept from run to run while exponents and bias stay.
#ifndef RELUFLOW_GRID_STORES_H
#define RELUFLOW_GRID_STORES_H

#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "grid/grid_weights.h"
#include "spec/fixed_format.h"

namespace reluflow {

/// What a node's attributes say about its bytes.
struct FixedFormats {
  FixedFormat x;
  FixedFormat y;
  FixedFormat z;
  int low = 0;          ///< least byte of y
  int high = 255;       ///< largest byte of y
  bool floats = false;  ///< y is float32: a store then only subtracts the zero point of x
};

/// What the stores of a run follow from, besides the node's attributes.
struct StoreInputs {
  const int8_t* emax;  ///< [outputs]
  const float* bias;   ///< [outputs] or null
  bool adds;           ///< whether there is a z
};

/// The stores of all blocks of output channels.
struct Stores {
  std::vector<int8_t> emax;
  std::vector<float> bias;
  bool has_bias = false;
  bool adds = false;
  uint64_t number = 0;           ///< of the set that they were finished for, or 0
  Aligned<FixedStore> plain;     ///< without the sums of weights
  Aligned<FixedStore> whole;     ///< with them; empty where the input's zero point is 0
  Aligned<FixedStore> permuted;  ///< depthwise: these in order of `depthwise_channel`

  explicit Stores(int64_t blocks) : plain(static_cast<size_t>(blocks)) {}
  const FixedStore& of(size_t block) const {
    return whole.size() == 0 ? plain[block] : whole[block];
  }
};

using StoreCache = SetCache<Stores>;

/// How the sums of one block become bytes, but for what a zero point of the input subtracts.
void make_store(const FixedFormats& formats, const StoreInputs& in, const OutputBlock& block,
                FixedStore* out);

/// Subtracts the zero point of the input times the sum of each lane's weights.
void subtract_zero(int zero, const int32_t* sums, FixedStore* store);

/// The stores of a run, kept or made; `set` is null where its blocks are drawn one by one.
StoreCache::Lease find_stores(StoreCache* cache, const FixedFormats& formats, const StoreInputs& in,
                              const GridCode& code, const GridSet* set);

}  // namespace reluflow

#endif
